# AppArmor's policies for the cells that need one. apparmor/NAME is compiled here, by a parser that is unpacked as the kernels
# are and run with its own C library, so that the guest needs no more than to write the result to the kernel.
# shellcheck shell=bash

# Sets `parser` to the directory of the parser, from the cache or the mirror; says why and returns 1 where it cannot be had.
fetch_parser() {
  parser=$cache/apparmor
  [ -x "$parser/usr/sbin/apparmor_parser" ] && return
  local tmp apt
  # Of this suite, because the one before (3.0) does not know the rule `userns`.
  open_suite apparmor debian trixie && unpack libc6 apparmor || return
  mkdir -p "$parser/usr/sbin" "$parser/lib"
  cp "$tmp"/unpacked/usr/lib/x86_64-linux-gnu/{ld-linux-x86-64.so.2,libc.so.6} "$parser/lib"
  cp -r "$tmp/unpacked/etc/apparmor.d" "$parser/policy"
  mv "$tmp/unpacked/usr/sbin/apparmor_parser" "$parser/usr/sbin"
  rm -rf "$tmp"
}

# compile POLICY OUTPUT
compile() {
  "$parser/lib/ld-linux-x86-64.so.2" --library-path "$parser/lib" "$parser/usr/sbin/apparmor_parser" --quiet \
    --config-file /dev/null --skip-kernel-load --skip-cache --base "$parser/policy" \
    --kernel-features "$parser/policy/abi/4.0" --ofile "$2" "$1"
}
