# The cells, and what has to come of each check in them.
# shellcheck shell=bash

# What CI boots: the oldest kernel, the root that pivot_root(2) refuses, a distribution's switch.
ci_cells=(5.10/plain 6.1/initramfs 6.12/userns-clone-0)

cells() {
  local kernel setting
  for kernel in 5.10 6.1 6.12 7.x; do
    for setting in plain initramfs cgroup-v1 cgroup-hybrid cgroup-none delegated userns-clone-0 max-userns-0 no-landlock no-proc chroot; do
      # 5.10 has no Landlock to leave out.
      [ "$kernel/$setting" = 5.10/no-landlock ] || echo "$kernel/$setting"
    done
    # AppArmor tells of user namespaces since Linux 6.7.
    case $kernel in 6.12 | 7.x) printf "$kernel/apparmor-%s\n" userns capability ;; esac
  done
}

readonly profiles=(strict standard build network container lite)
readonly checks=(control doctor "${profiles[@]}" probe lite-probe bind limits network-hinted lite-hinted strict-fixed strict-granted host selftest)

# The table. For a check of `belljar run`: `works`, `absent` (there was no reason to make it), or what the refusal has to say (a
# regular expression over the message and its hints). For the doctor: `works`, or what it has to say of what is missing. The
# first row that fits holds.
expected() {
  local delegate='cannot limit the sandbox by a control group: .*Permission denied .*hint: .*Delegate=yes'
  local tmpfs='MOUNT_ATTR_IDMAP on tmpfs needs Linux 6.3, this is 6.1 .*hint: belljar run --ro-bind'
  case "$1 $2 $3 $4" in
  *' control') echo works ;;
  # Made in one setting of each kernel, as it takes a minute or two.
  '6.1 plain '*' selftest' | '6.12 plain '*' selftest' | '7.x plain '*' selftest') echo works ;;
  *' selftest') echo absent ;;
  '6.1 plain root host' | '6.12 plain root host' | '7.x plain root host') echo works ;;
  *' host') echo absent ;;
  *' apparmor-'*' strict-granted') echo works ;;
  *' strict-granted') echo absent ;;

  # 5.10: no mount_setattr, no Landlock, no CLOSE_RANGE_CLOEXEC. Nothing runs with any setting.
  '5.10 '*' doctor') echo 'kernel: .*namespaces need Linux 5.12 \(mount_setattr\)' ;;
  '5.10 '*' lite' | '5.10 '*' lite-probe') echo 'Landlock needs Linux 5.13 \(landlock_create_ruleset\), this is Linux 5.10' ;;
  '5.10 '*-hinted | '5.10 '*-fixed) echo absent ;;
  '5.10 '*) echo 'namespaces needs Linux 5.12 \(mount_setattr\), this is Linux 5.10' ;;

  # Every later kernel has the scopes of Landlock: no option is named, so none is tried.
  '6.12 '*-hinted | '7.x '*-hinted) echo absent ;;

  # No Landlock: nothing runs, and the doctor knows the boot parameter.
  *' no-landlock '*' doctor') echo 'landlock: .*not among the security modules that were started at boot \(lsm=lockdown,yama,apparmor\)' ;;
  *' no-landlock '*-hinted | *' no-landlock '*-fixed) echo absent ;;
  *' no-landlock '*) echo 'landlock needs Landlock ABI 1, the kernel has none .*hint: .*lsm=' ;;

  # Without /proc there are no id maps, and lite could not end what the task leaves behind.
  *' no-proc '*' doctor') echo 'no procfs is mounted at /proc' ;;
  *' no-proc '*-hinted | *' no-proc '*-fixed) echo absent ;;
  *' no-proc '*) echo 'cannot do without /proc: .*no procfs is mounted at /proc .*hint: sudo mount -t proc proc /proc' ;;

  # Limits need a control group: root makes one where there is a tree, a user only in one that was delegated.
  # Debian builds these without CONFIG_MEMCG_V1: memory is a controller of v2 only.
  '6.12 cgroup-v1 '*' limits' | '7.x cgroup-v1 '*' limits' | *' cgroup-none '*' limits') echo 'no control group tree with the controller memory is mounted.*hint: ' ;;
  *' delegated user limits') echo works ;;
  # Without capabilities root cannot give its tree's groups the controllers, which a user then finds missing before all else.
  *' apparmor-capability user limits') echo "$delegate" ;;

  # 6.1: Landlock's ABI 2 has no scopes, which these two profiles ask for; they say how to do without.
  '6.1 '*' network' | '6.1 '*' lite' | '6.1 '*' lite-probe') echo 'landlock.scopes needs Landlock ABI 6, the kernel has ABI 2 .*--set landlock.scopes=\[\]' ;;

  '6.1 '*' lite-hinted') echo works ;;

  # User namespaces are refused, to ordinary users or to all: the reason is named, lite still runs.
  *' userns-clone-0 user doctor') echo 'user-namespace: .*kernel.unprivileged_userns_clone=0' ;;
  *' max-userns-0 '*' doctor') echo 'user-namespace: .*user.max_user_namespaces=0' ;;
  *' apparmor-userns '*' doctor') echo 'user-namespace: .*the AppArmor profile "belljar \(enforce\)"' ;;
  *' apparmor-capability '*' doctor') echo 'id-map(-unique)?: .*the AppArmor profile "belljar \(enforce\)"' ;;
  *' chroot '*' doctor') echo 'user-namespace: .*chroot, where the kernel allows no user namespace' ;;
  # As root not below an AppArmor profile that refuses the capabilities by which it becomes another.
  *' userns-clone-0 user lite'* | *' max-userns-0 '*' lite'* | *' chroot '*' lite'* | *' apparmor-'*' user lite'*) echo works ;;
  # The fix, a sysctl or the removal of a profile, was made as it says there: then strict runs.
  *' userns-clone-0 user strict-fixed' | *' max-userns-0 '*' strict-fixed' | *' apparmor-'*' strict-fixed') echo works ;;
  *' strict-fixed') echo absent ;;
  *' userns-clone-0 user '*) echo 'kernel.unprivileged_userns_clone=0.*hint: sudo sysctl -w kernel.unprivileged_userns_clone=1' ;;
  *' max-userns-0 '*) echo 'user.max_user_namespaces=0.*hint: sudo sysctl -w user.max_user_namespaces=' ;;
  *' apparmor-'*) echo 'AppArmor profile "belljar \(enforce\)" that this process runs under refuses it .*hint: printf %s .belljar. \| sudo tee /sys/kernel/security/apparmor/\.remove' ;;
  *' chroot '*) echo 'this process is in a chroot, where the kernel allows no user namespace .*hint: (sudo -u USER )?belljar run -p lite' ;;
  *' user limits') echo "$delegate" ;;

  # The initramfs is no file system that could be id-mapped.
  *' initramfs root build' | *' initramfs root container' | *' initramfs root bind')
    echo 'does not support id-mapped mounts .*hint: belljar run --ro-bind'
    ;;
  # 6.1 as root: a writable directory on a tmpfs needs an id map that tmpfs cannot do yet.
  '6.1 '*' root build' | '6.1 '*' root container' | '6.1 '*' root bind') echo "$tmpfs" ;;

  *) echo works ;;
  esac
}

# What is missing of what a profile needs, by the doctor, a line each.
lacks() {
  jq -r '.layers[] | select(.state != "works" and (.needed_by | length) > 0) | "\(.layer): \(.detail) \(.cause // "")"' "$1"
}

# What has to be in force where a profile runs: three walls always, and the namespaces of the profile.
in_force() {
  local names='["cgroup","ipc","mnt","net","pid","user","uts"]' root=true
  case $1 in
  lite*) names='[]' root=false ;;
  network*) names='["cgroup","ipc","mnt","pid","user","uts"]' ;;
  esac
  jq -e --argjson names "$names" --argjson root "$root" --arg check "$1" '
    .ended == {kind: "exit", code: 0} and (.protections |
      .seccomp and .landlock and .noNewPrivileges and .newRoot == $root and (.namespaces | sort) == $names and .uid == .gid
      and ($check == "container" or .capabilities == 0))' "$2" >/dev/null
}

# What the probe could do from inside, which is nothing; but for these: before Landlock's scopes (6.12) the sandbox's own init can
# be asked for with the null signal (others it passes on to the task, or the kernel drops them), and lite sees the host's processes.
could() {
  jq -r --arg but "$1" '[.attempts[] | select(.outcome == "allowed").name] - ($but | split("|")) | join(", ")' "$2"
}
held() {
  jq -e '.hardening.seccomp == 2 and .hardening.no_new_privs and ([.hardening.capabilities[] | select(length > 0)] == [])' "$1" >/dev/null
}

# verdict KERNEL SETTING WHO CHECK DIRECTORY: sets `result`, a word for the table, and returns 1 with `problem` where something else
# came out than what is expected.
verdict() {
  local check=$4 files=$5/$4 want status said
  want=$(expected "$1" "$2" "$3" "$check")
  result=- problem=''
  fail() { problem=$1; result="!$result"; return 1; }
  if [ ! -e "$files.status" ]; then
    [ "$want" = absent ] || fail "the check was not made, and should be: $want"
    return
  fi
  status=$(cat "$files.status") said=$(tr '\n' ' ' <"$files.err")
  result=$status
  [ "$want" != absent ] || { fail "there is an unknown way out: $said"; return; }
  case $check in
  control)
    result=found
    grep -q '^found at /$' "$files.out" || fail 'the secret cannot be found outside'
    return
    ;;
  doctor) doctor "$@" && return || return ;;
  selftest)
    result=held
    said+=$(jq -r 'select(.verdict == "failed") | "\(.id): \([.profiles[].why] | join(", "))"' "$files.out" | tr '\n' ' ') || fail 'no JSON'
    [ "$(jq -r 'select(.verdict == "held").id' "$files.out" | wc -l)" -ge 75 ] || { fail "too few rows: $said"; return; }
    [ "$status" = 0 ] && [ -z "$said" ] || fail "exit status $status: $said"
    return
    ;;
  esac
  if [ "$want" != works ]; then
    result=refused
    [ "$status" = 125 ] || { fail "exit status $status: $said"; return; }
    [ ! -s "$files.out" ] || { fail "refused, but something ran: $(cat "$files.out")"; return; }
    grep -Eq -- "$want" <<<"$said" || { fail "another reason: $said"; return; }
    grep -q '^hint: ' "$files.err" || { fail "no hint: $said"; return; }
    jq -e '.ended.kind == "setup-error" and .protections == null' "$files.report" >/dev/null || fail 'the report has another end'
    return
  fi
  result=works
  if [ "$check" = host ]; then
    [ "$status" = 0 ] && [ "$(cat "$files.out")" = inside ] || fail "exit status $status: $said"
    return
  fi
  [ "$status" = 0 ] || { fail "exit status $status: $said"; return; }
  [ -z "$said" ] || { fail "not silent: $said"; return; }
  in_force "$check" "$files.report" || { fail "weaker than asked: $(cat "$files.report")"; return; }
  case $check in
  *probe)
    local but=''
    [ "$1" != 6.1 ] || but='signal pid 1'
    but=$(could "$but" "$files.out") || { fail 'no JSON of the probe'; return; }
    [ -z "$but" ] || { fail "from inside it could: $but"; return; }
    # In lite there is no /proc to read it from.
    [ "$check" = lite-probe ] || held "$files.out" || fail "from inside: $(jq -c .hardening "$files.out")"
    ;;
  *) [ "$(cat "$files.out")" = inside ] || fail "more than it should: $(tr '\n' ' ' <"$files.out")" ;;
  esac
}

# The doctor names what is missing, and says of each profile what then came of it.
doctor() {
  local directory=$5 missing runs profile
  missing=$(lacks "$directory/doctor.out") || { fail "no JSON: $said"; return; }
  [ "$status" -le 1 ] && [ -z "$said" ] || { fail "exit status $status: $said"; return; }
  result=$([ "$status" = 0 ] && echo runs || echo lacks)
  if [ "$want" = works ]; then
    [ "$status" = 0 ] || { fail "strict should run: $missing"; return; }
  else
    grep -Eq -- "$want" <<<"$missing" || { fail "it does not say what is missing, but: $missing"; return; }
  fi
  for profile in "${profiles[@]}"; do
    # These two also depend on the file system of the directory that they are given.
    [[ $3/$profile == root/build || $3/$profile == root/container ]] && continue
    runs=$(jq -r --arg profile "$profile" '.profiles[] | select(.profile == $profile).runs' "$directory/doctor.out")
    [ "$runs" = "$([ "$(cat "$directory/$profile.status")" = 0 ] && echo true || echo false)" ] ||
      { fail "it says of $profile that it runs: $runs, and that is not so"; return; }
  done
}

# Rows KERNEL|SETTING|WHO|RELEASE| CHECK=RESULT…, as tables of what the profiles do, and limits by a control group.
markdown() {
  local row kernel setting who release line column last= columns=("${profiles[@]}" limits)
  for row in "$@"; do
    IFS='|' read -r kernel setting who release line <<<"$row"
    if [ "$kernel" != "$last" ]; then
      printf '\n### Linux %s (%s)\n\n| setting | caller | %s |\n' "$kernel" "$release" "$(IFS='|' && sed 's/|/ | /g' <<<"${columns[*]}")"
      printf '| --- | --- |%s\n' "$(printf ' --- |%.0s' "${columns[@]}")"
      last=$kernel
    fi
    printf '| %s | %s |' "$setting" "$who"
    for column in "${columns[@]}"; do
      printf ' %s |' "$(grep -o " $column=[^ ]*" <<<"$line" | cut -d= -f2)"
    done
    echo
  done
}
