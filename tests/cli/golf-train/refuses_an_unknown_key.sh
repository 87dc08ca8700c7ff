golf-train --recipe nano --set network.num_layer=4 --print-recipe
