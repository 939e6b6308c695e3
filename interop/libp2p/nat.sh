#!/bin/sh
# Runs a command in a network namespace with public addresses: of a client, and of servers in networks of their own, as
# AutoNAT believes one server of each. Client and servers see each other's address, as over a wire.
set -e
if [ -z "$INSIDE" ]; then
  INSIDE=1 exec unshare -rn sh "$0" "$@"
fi
client=15.0.0.1
servers="11.0.0.1 12.0.0.1 13.0.0.1 14.0.0.1"
ip link set lo up
for address in $client $servers; do ip address add "$address/32" dev lo; done
for server in $servers; do ip route replace local "$server" dev lo table local src "$client"; done
ip route replace local "$client" dev lo table local src 11.0.0.1
exec "$@"
