golf-train --recipe nothing.toml --print-recipe
