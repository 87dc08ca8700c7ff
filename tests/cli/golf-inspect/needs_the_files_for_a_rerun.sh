golf-inspect verify run.audit --rerun
