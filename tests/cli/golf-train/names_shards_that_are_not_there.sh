golf-train --recipe nano --data 'nothing/*.bin' --out run
