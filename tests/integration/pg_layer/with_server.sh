#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run a program against a throw-away PostgreSQL that listens on TCP, TLS and a unix socket.
#     with_server.sh MAJOR PROGRAM [ARGUMENT...]
# The program finds NW_TEST_PORT, NW_TEST_SERVER_PID and NW_TEST_FOLDER (socket, ca.crt, other-ca.crt)
# in its environment. Exit 77: no such server can be had here.
set -euo pipefail
servers=$(cd "$(dirname "$0")/../../servers" && pwd)
bin=$(cd "$servers" && python3 -c '
import sys, servers
try:
    print(servers.binaries(int(sys.argv[1])))
except servers.Unavailable as error:
    sys.exit(f"PostgreSQL {sys.argv[1]}: {error}")' "$1") || exit 77
shift
export LC_ALL=C.UTF-8
folder=$(mktemp -d /tmp/nw-pg.XXXXXX)
as=()
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || { echo "root cannot run a server and there is no user postgres"; exit 77; }
    as=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    chown postgres "$folder"
fi
chmod 755 "$folder"
pid=
stop() {
    if [ -n "$pid" ]; then
        kill -QUIT "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT

cert() { # NAME CA-NAME SUBJECT SAN
    openssl req -newkey rsa:2048 -nodes -keyout "$folder/$1.key" -out "$folder/$1.csr" -subj "$3" 2>/dev/null
    openssl x509 -req -in "$folder/$1.csr" -CA "$folder/$2.crt" -CAkey "$folder/$2.key" -CAcreateserial \
        -days 2 -out "$folder/$1.crt" -extfile <(echo "subjectAltName=$4") 2>/dev/null
}
for ca in ca other-ca; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout "$folder/$ca.key" -out "$folder/$ca.crt" \
        -subj "/O=Narwal tests/CN=Acme $ca" 2>/dev/null
done
cert server ca "/CN=localhost" "DNS:localhost"
cat "$folder/ca.crt" >>"$folder/server.crt"
chmod 600 "$folder"/*.key
[ ${#as[@]} = 0 ] || chown postgres "$folder"/*

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as[@]}" "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --no-sync >"$folder/initdb.log" 2>&1 ||
    { cat "$folder/initdb.log"; exit 1; }
cat >>"$folder/data/postgresql.conf" <<EOF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$folder'
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
fsync = off
ssl = on
ssl_cert_file = '$folder/server.crt'
ssl_key_file = '$folder/server.key'
EOF
cat >"$folder/data/pg_hba.conf" <<EOF
local all all trust
host all secretive 127.0.0.1/32 scram-sha-256
host refused all 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
EOF
"${as[@]}" "$bin/postgres" -D "$folder/data" >"$folder/server.log" 2>&1 &
pid=$!
for _ in $(seq 100); do
    [ -S "$folder/.s.PGSQL.$port" ] && grep -q "ready to accept" "$folder/server.log" && break
    sleep 0.1
done
export NW_TEST_PORT=$port NW_TEST_FOLDER=$folder NW_TEST_SERVER_PID=$pid
status=0
"$@" || status=$?
[ $status = 0 ] || tail -20 "$folder/server.log"
exit $status
