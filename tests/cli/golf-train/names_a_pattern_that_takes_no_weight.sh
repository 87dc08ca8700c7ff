# The same network without a part: its patterns may stay.
golf-train --recipe nano --set network.bigram_buckets=0 --set network.ve_enabled=false --print-recipe >/dev/null
golf-train --recipe nano --set 'group.matrix.weights=["blocks.*.weihgt"]' --print-recipe
