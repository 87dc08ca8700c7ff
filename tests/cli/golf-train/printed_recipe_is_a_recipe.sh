golf-train --recipe pr598 --set train.seed=7 --print-recipe > mine.toml
golf-train --recipe mine.toml --print-recipe > again.toml
diff mine.toml again.toml
