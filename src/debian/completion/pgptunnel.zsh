#compdef pgptunnel
# The command itself says what can come next.
local -a words_
words_=(${(f)"$(pgptunnel "[suggest:${#BUFFER}]" "$BUFFER" 2>/dev/null | grep -vx -e '/.*' -e '-.')"})
compadd -a words_ || _files
