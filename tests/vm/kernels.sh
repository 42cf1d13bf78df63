# Stock Debian kernels: a .deb of each from its suite, unpacked for the one file in it that is the kernel. Never installed,
# and the machine's own apt is not touched.
# shellcheck shell=bash

readonly mirror=${BELLJAR_VM_MIRROR:-http://deb.debian.org}
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly cache=${XDG_CACHE_HOME:-/var/tmp}/belljar-vm

# name   archive          suite              package
readonly kernels='
5.10     debian           bullseye           linux-image-cloud-amd64
6.1      debian           bookworm           linux-image-cloud-amd64
6.12     debian-security  bookworm-security  linux-image-6.12-cloud-amd64
7.x      debian           trixie-backports   linux-image-cloud-amd64
'

# Sets `image` to the kernel of that name, from the cache or the mirror; says why and returns 1 where it cannot be had.
fetch_kernel() {
  local name=$1 row archive suite package
  image=$cache/$name/vmlinuz
  [ -s "$image" ] && return
  row=$(awk -v name="$name" '$1 == name' <<<"$kernels")
  [ -n "$row" ] || { echo "there is no kernel $name"; return 1; }
  read -r _ archive suite package <<<"$row"
  local tmp apt
  open_suite "$name" "$archive" "$suite" || return

  # The package of that name only depends on the newest kernel; of the newest ones the image is in a package of its own.
  local wanted=$package
  for _ in 1 2; do
    wanted=$(apt-cache "${apt[@]}" depends "$wanted" | awk '/Depends: linux-(image-[0-9]|binary-)/ { print $2; exit }')
    [ -n "$wanted" ] || break
    package=$wanted
  done
  unpack "$package" || return
  local found
  found=$(find "$tmp/unpacked" -type f -name 'vmlinuz*' -print -quit)
  [ -n "$found" ] || { echo "there is no kernel in $package"; return 1; }
  mkdir -p "$cache/$name"
  mv "$found" "$image"
  rm -rf "$tmp"
}

# open_suite NAME ARCHIVE SUITE: reads the list of the suite's packages. Sets `tmp`, a directory for the download of that name, and
# `apt`, the options by which apt-get knows nothing but that suite and that directory.
open_suite() {
  local name=$1 archive=$2 suite=$3
  [ -r "$keyring" ] || { echo "$keyring is missing (package debian-archive-keyring)"; return 1; }
  tmp=$cache/$name.tmp
  rm -rf "$tmp"
  mkdir -p "$tmp"/{lists/partial,archives/partial,unpacked}
  echo "deb [arch=amd64 signed-by=$keyring] $mirror/$archive $suite main" >"$tmp/sources.list"
  apt=(-qq -o "Dir::Etc::SourceList=$tmp/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$tmp/lists" -o "Dir::Cache=$tmp" -o APT::Architecture=amd64 -o APT::Architectures=amd64
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
    -o APT::Update::Error-Mode=any -o APT::Sandbox::User= -o Acquire::http::Timeout=20 -o Acquire::Retries=2)
  apt-get "${apt[@]}" update >"$tmp/log" 2>&1 || { echo "cannot read $suite from $mirror: $(tail -1 "$tmp/log")"; return 1; }
}

# unpack PACKAGE…: downloads them and unpacks them into `$tmp/unpacked`.
unpack() {
  local package
  for package in "$@"; do
    (cd "$tmp" && apt-get "${apt[@]}" download "$package") >"$tmp/log" 2>&1 ||
      { echo "cannot download $package: $(tail -1 "$tmp/log")"; return 1; }
    dpkg-deb -x "$tmp/$package"_*.deb "$tmp/unpacked" || return 1
  done
}
