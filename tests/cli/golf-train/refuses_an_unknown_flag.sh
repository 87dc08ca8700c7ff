golf-train --nonsense
