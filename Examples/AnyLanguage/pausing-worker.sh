#!/bin/sh
# A processor in shell that pauses for windows without being restarted.
#
#     zkrecipes exclusive gate /orders --on-pause signal:USR1,USR2 -- ./pausing-worker.sh
#
# SIGUSR1 asks it to pause and SIGUSR2 to resume. It answers with a line on the descriptor ZKRECIPES_ACK_FD.

asked= resumed=
trap 'asked=yes' USR1
trap 'resumed=yes' USR2
trap 'exit 0' TERM

while :; do
    # The token changes with each pause, so it is read here and not from ZK_FENCING_TOKEN.
    token=$(od -An -t d8 -j 8 -N 8 "/dev/fd/$ZKRECIPES_VALIDITY_FD" | tr -d ' ')
    echo "an order, token $token"
    sleep 0.02
    if [ "$asked" ]; then
        asked= resumed=
        echo paused >&"$ZKRECIPES_ACK_FD"
        until [ "$resumed" ]; do sleep 0.02; done
        echo resumed >&"$ZKRECIPES_ACK_FD"
    fi
done
