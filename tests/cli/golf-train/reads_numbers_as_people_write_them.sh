for n in 0600 600 6e2 6_00; do
  golf-train --recipe nano --set "schedule.iterations=$n" --print-recipe | grep '^iterations'
done
golf-train --recipe nano --set schedule.max_wallclock_seconds=010.5 --print-recipe | grep '^max_wallclock'
golf-train --recipe nano --set group.matrix.lr=1.0 --print-recipe | grep '^lr = 1'
