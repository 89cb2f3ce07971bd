#!/bin/sh
# Print the interpreter for the virtual environment: the Python that the functions run under on AWS,
# so that tests and asset are made with it; where it is missing, python3.
set -eu

wanted=3.13
for candidate in "python$wanted" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$wanted".*/bin/python; do
  # Asked, not only looked for: pyenv's stand-in for a version that is not active exists and fails.
  if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$wanted" ]; then
    echo "$candidate"
    exit 0
  fi
done
echo "Python $wanted, the functions' runtime on AWS, was not found: tests and local functions run under" \
  "$(python3 --version 2>&1), and the asset holds no bytecode" >&2
echo python3
