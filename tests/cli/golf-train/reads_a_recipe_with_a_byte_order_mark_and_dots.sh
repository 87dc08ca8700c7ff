golf-train --recipe nano --print-recipe >plain.toml
{ printf '\xef\xbb\xbf# Contents ................................ 3\n'; cat plain.toml; } >marked.toml
sed -i 's/^name = .nano.$/name = "n. a. n. o. ................ \xc3\xbc # no comment"/' plain.toml
golf-train --recipe ./marked.toml --print-recipe >printed.toml
golf-train --recipe nano --print-recipe | diff - printed.toml
golf-train --recipe ./plain.toml --print-recipe | grep -c 'no comment'
