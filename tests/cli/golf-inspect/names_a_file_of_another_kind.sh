# Files that people give by mistake: each is named as what it is, with what to do.
printf 'PK\x03\x04\0\0archive/data.pkl\x80\x02' > model.pt
printf '\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.' > old.pt
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n' > pointer
printf '{"metadata":{},"weight_map":{"a":"model-00001-of-00002.safetensors"}}' > index.json
printf '\x1f\x8b\x08\0' > a.gz
printf '\x28\xb5\x2f\xfd\x04' > a.zst
printf '\xfd7zXZ\0\0' > a.xz
printf 'GGUF\x03\0\0\0' > a.gguf
printf '\x93NUMPY\x01\0v\0' > a.npy
printf '<!doctype html><html>' > page
head -c 1024 /dev/zero > a.bin
printf '\x88\xd8\x34\x01\x01\0\0\0' | dd of=a.bin conv=notrunc status=none

expect() {
  local code=0 message
  message=$(golf-inspect "$1" 2>&1) || code=$?
  ((code == 4)) || { echo "$1: exit code $code"; exit 1; }
  [[ $message == *"$1: not "*" but "*"$2"* ]] || { echo "$message"; exit 1; }
}
expect model.pt 'safetensors.torch.save_file'
expect old.pt 'safetensors.torch.save_file'
expect pointer 'git lfs pull'
expect index.json 'several safetensors files'
expect a.gz 'gunzip'
expect a.zst 'unzstd'
expect a.xz 'unxz'
expect a.gguf 'GGUF'
expect a.npy 'numpy'
expect page 'an HTML page'
expect a.bin 'a token shard'
