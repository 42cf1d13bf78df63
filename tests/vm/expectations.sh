# The cells, and what has to come of each check in them.
# shellcheck shell=bash

ci_cells=(5.10/plain 6.1/initramfs 6.12/userns-clone-0)

cells() {
  local kernel setting
  for kernel in 5.10 6.1 6.12 7.x; do
    for setting in plain initramfs cgroup-v1 cgroup-hybrid cgroup-none userns-clone-0 max-userns-0 no-landlock no-proc chroot; do
      # 5.10 has no Landlock to leave out.
      [ "$kernel/$setting" = 5.10/no-landlock ] || echo "$kernel/$setting"
    done
  done
}

readonly profiles=(strict standard build network container lite)
readonly checks=(control doctor "${profiles[@]}" probe lite-probe bind network-hinted lite-hinted strict-mended)

# The table: `works`, `absent` (the check was not made), or what the refusal has to say (a regular expression).
expected() {
  local kernel=$1 setting=$2 who=$3 check=$4
  case "$kernel $setting $who $check" in
  *) echo works ;;
  esac
}

# Sets `result` (a word for the table) and, where it is not what is expected, `problem`.
verdict() {
  local folder=$5 want status
  want=$(expected "$@")
  result=- problem=''
  if [ ! -e "$folder/$4.status" ]; then
    [ "$want" = absent ] || { problem='the check was not made' && return 1; }
    return 0
  fi
  status=$(cat "$folder/$4.status")
  result=$status
}
markdown() { :; }
