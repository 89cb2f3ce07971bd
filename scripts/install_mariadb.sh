#!/bin/sh
# Install MariaDB's server binaries where they are missing. The local cloud and the tests start servers
# of their own from them; one that a package starts is none of our business.
set -eu

PATH="$PATH:/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
if command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null; then
  exit 0
fi

if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  echo "Installing MariaDB's server with apt-get"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server >/dev/null
  exit 0
fi

cat >&2 <<'MESSAGE'
MariaDB's server binaries (mariadbd, mariadb-install-db) are missing; 10.6 or later is needed. Install them:

  Debian, Ubuntu   sudo apt-get install --no-install-recommends mariadb-server
  Fedora           sudo dnf install mariadb-server
  macOS            brew install mariadb

The server need not run: one is started for the occasion, on a free port of 127.0.0.1, and needs no root.
Or name one that runs on this machine, for the local cloud: DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD.
MESSAGE
exit 1
