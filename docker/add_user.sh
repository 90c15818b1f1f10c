#!/usr/bin/env bash
# add_user.sh NUMBER: the user that trains, who owns nothing but a home.
set -euo pipefail
groupadd --gid "$1" trainer
useradd --uid "$1" --gid "$1" --create-home --shell /usr/sbin/nologin trainer
