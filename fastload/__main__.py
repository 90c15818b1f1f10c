"""``python -m fastload``."""

from fastload.commands import main

if __name__ == "__main__":
    main(prog_name="fastload")
