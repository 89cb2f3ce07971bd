#!/bin/sh
# Install MariaDB's server binaries where they are missing. The tests start a server of their own;
# the one that a package may start is stopped again by its own service manager, never by us.
set -eu

PATH="$PATH:/usr/sbin:/usr/local/sbin"
if command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null; then
  exit 0
fi

if command -v apt-get >/dev/null; then
  as_root=""
  [ "$(id -u)" -eq 0 ] || as_root="sudo"
  echo "installing mariadb-server with apt-get"
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends mariadb-server >/dev/null
elif command -v brew >/dev/null; then
  brew install mariadb
else
  echo "mariadbd is missing: install MariaDB Server 10.6 or later (https://mariadb.com/docs)" >&2
  exit 1
fi
