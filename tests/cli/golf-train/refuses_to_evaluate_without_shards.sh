golf-train --recipe pr1232 --evaluate weights.safetensors
