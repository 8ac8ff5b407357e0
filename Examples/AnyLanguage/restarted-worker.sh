#!/bin/sh
# A processor in shell that is ended for each window and started again after it.
#
#     zkrecipes exclusive gate /orders -- ./restarted-worker.sh
#
# SIGTERM asks it to end. The shell calls the trap between two commands. Commands that it has started receive SIGTERM too.

trap 'echo finished; exit 0' TERM
while :; do
    echo "an order, token $ZK_FENCING_TOKEN"
    sleep 0.02
done
