golf-train --recipe nano --set network.num_kv_heads=2 --print-recipe
