golf-run model.ptz val.bin --audit missing/log
