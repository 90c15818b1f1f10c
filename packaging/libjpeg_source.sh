#!/usr/bin/env bash
# libjpeg_source.sh URL_PATH SHA256 FILE: downloads a file of the distribution's archive, through apt and from the archives that this
# system is configured for (no root, no package lists). Fails where there is no apt, no network, or no archive with just these bytes.
set -euo pipefail
path=$1 sha256=$2 file=$3
helper=/usr/lib/apt/apt-helper
if [ ! -x $helper ]; then echo "this system has no apt"; exit 1; fi
mkdir -p "$(dirname "$file")"
part=$(mktemp -d "$(dirname "$file")/libjpeg.XXXXXX")
trap 'rm -rf "$part"' EXIT
for archive in $(apt-get indextargets --format '$(REPO_URI)' | sort -u); do
  if timeout 60 $helper -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 \
    download-file "${archive%/}/$path" "$part/file" "SHA256:$sha256" > "$part/log" 2>&1; then
    mv "$part/file" "$file"
    exit 0
  fi
done
echo "no configured archive gave $(basename "$path")"
exit 1
