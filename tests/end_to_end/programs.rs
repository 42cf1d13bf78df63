//! Installed programs of Debian: what they print inside is what they print outside, byte for byte, in *build*
//! and, where they only compute, in *strict*. `.ci/run` installs all of them.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::caller::{self, Caller};
use crate::need::{Need, trial};
use crate::workloads::{equal, failed, inside, outside, sysroot};

/// A program that computes.
const BOTH: &[&str] = &["strict", "build"];
/// One that runs what it has just made, watches another, or needs a terminal.
const BUILD: &[&str] = &["build"];

/// What both sides begin with.
const BEGIN: &str = "export HOME=$PWD LC_ALL=C.UTF-8 PATH=/usr/bin:/bin; set -e; ";

/// Name, programs that it needs, profiles, and a script that is run in an empty directory.
const SCRIPTS: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "java",
        &["java", "javac"],
        BOTH,
        r#"cat >Main.java <<'END'
import java.security.*; import java.util.*; import java.util.stream.*; import javax.crypto.*;
public class Main {
  public static void main(String[] args) throws Exception {
    System.out.println(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest("x".getBytes())));
    System.out.println(Arrays.stream(Security.getProviders()).map(Provider::getName).collect(Collectors.joining(",")));
    System.out.println(Security.getProperty("jdk.tls.disabledAlgorithms") + " " + Cipher.getMaxAllowedKeyLength("AES"));
    System.out.println(IntStream.range(0, 10000).parallel().sum());
    Thread[] threads = new Thread[8];
    for (int i = 0; i < threads.length; i++) (threads[i] = new Thread(() -> {})).start();
    for (Thread thread : threads) thread.join();
    System.out.println(TimeZone.getTimeZone("Europe/Berlin").getRawOffset() + " " + Locale.getDefault());
  }
}
END
javac -J-XX:TieredStopAtLevel=1 Main.java && java -XX:TieredStopAtLevel=1 Main"#,
    ),
    (
        "php",
        &["php"],
        BOTH,
        r#"php -r 'var_dump(ctype_digit("12"), json_encode(["a" => 1]), hash("sha256", "x"), preg_match("/a+/", "caat"));
print_r(get_loaded_extensions()); echo php_ini_loaded_file(), "\n", php_ini_scanned_files(), ini_get("memory_limit"), "\n";'"#,
    ),
    (
        "ruby",
        &["ruby"],
        BOTH,
        r#"ruby -rdigest -rjson -rset -rtempfile -e 'puts Digest::SHA256.hexdigest("x"), JSON.generate({a: [1, nil]})
puts (1..4).map { |n| Thread.new { n * n } }.map(&:value).sum
Tempfile.create("t") { |file| file.write "kept"; file.flush; puts File.size(file.path) }
puts `echo from a shell`, Process.wait2(fork { exit 3 })[1].exitstatus'"#,
    ),
    (
        "node",
        &["node"],
        BOTH,
        r#"cat >main.js <<'END'
const { Worker, isMainThread, parentPort } = require('worker_threads');
const crypto = require('crypto'), fs = require('fs'), { execFileSync } = require('child_process');
if (!isMainThread) parentPort.postMessage(6 * 7);
else {
  console.log(crypto.createHash('sha256').update('x').digest('hex'), crypto.scryptSync('p', 's', 16).toString('hex'));
  fs.writeFileSync('made', 'kept'); console.log(fs.readFileSync('made', 'utf8'), fs.statSync('made').size);
  console.log(execFileSync('expr', ['1', '+', '1']).toString().trim(), new Intl.NumberFormat('de').format(1234.5));
  new Worker(__filename).on('message', answer => console.log(answer));
}
END
node main.js"#,
    ),
    (
        "npm",
        &["npm"],
        BUILD,
        r#"mkdir -p dep; echo '{"name":"dep","version":"1.0.0"}' >dep/package.json; echo 'module.exports = 42' >dep/index.js
echo '{"name":"job","version":"1.0.0","dependencies":{"dep":"file:dep"},"scripts":{"answer":"node -p \"require(`dep`)\""}}' | tr '`' "'" >package.json
npm install --offline --no-audit --no-fund --no-update-notifier --silent && npm run -s answer && npm ls --offline --parseable | wc -l"#,
    ),
    (
        "perl",
        &["perl"],
        BOTH,
        r#"perl -MDigest::SHA=sha256_hex -MPOSIX -MSocket -MNet::Config -MList::Util=sum -e '
print sha256_hex("x"), "\n", POSIX::strftime("%Y", gmtime 0), "\n", sum(1..9), "\n", join(",", sort keys %NetConfig), "\n";
print join(" ", (getservbyname("https", "tcp"))[0, 2, 3], getprotobyname("udp")), "\n";
pipe R, W; if (!fork) { print W "child\n"; exit 4 } close W; print scalar(<R>); wait; print $? >> 8, "\n"'"#,
    ),
    (
        "python_venv",
        &["python3"],
        BUILD,
        "python3 -m venv --without-pip v && v/bin/python -c 'import sys, site; print(sys.prefix != sys.base_prefix, sys.prefix)' && \
         v/bin/python -m json.tool <<'END'\n{\"a\": [1, 2]}\nEND",
    ),
    (
        "python_start_methods",
        &["python3"],
        BOTH,
        r#"cat >main.py <<'END'
import multiprocessing as m
def square(n): return n * n
if __name__ == "__main__":
    for method in ["fork", "spawn", "forkserver"]:
        context = m.get_context(method)
        with context.Pool(2) as pool: print(method, pool.map(square, range(8)))
        queue = context.Queue(); process = context.Process(target=queue.put, args=("hello",))
        process.start(); print(queue.get()); process.join(); print(process.exitcode)
    with context.Manager() as manager: print(dict(manager.dict(a=1)))
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=64); block.buf[0] = 7; print(block.buf[0]); block.close(); block.unlink()
END
python3 main.py"#,
    ),
    (
        "python_names",
        &["python3"],
        BOTH,
        r#"python3 -c 'import socket, mimetypes, locale, time
print(socket.getservbyname("https"), socket.getservbyport(53, "udp"), socket.getprotobyname("icmp"))
print(mimetypes.guess_type("a.png"), locale.getlocale(), time.tzname)'"#,
    ),
    (
        "go",
        &["go"],
        BUILD,
        r#"printf 'module job\n\ngo 1.19\n' >go.mod; cat >main.go <<'END'
package main

import (
	"crypto/sha256"
	"fmt"
	"sync"
)

func main() {
	var wait sync.WaitGroup
	sums := make([]int, 8)
	for i := range sums {
		wait.Add(1)
		go func(i int) { defer wait.Done(); sums[i] = i * i }(i)
	}
	wait.Wait()
	fmt.Printf("%x %v\n", sha256.Sum256([]byte("x")), sums)
}
END
export CGO_ENABLED=0 GOFLAGS=-mod=mod GOPROXY=off GOCACHE=$PWD/cache GOPATH=$PWD/go; go build -o job . && ./job && go vet . && go list -m"#,
    ),
    (
        "gcc_sanitizers",
        &["gcc", "c++filt"],
        BUILD,
        r#"cat >x.c <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  int *p = malloc(4 * sizeof *p); p[0] = 0x7fffffff; p[0] += argc; printf("%d\n", p[0]); fflush(stdout);
  if (argc > 1) p[4] = 1;
  free(p); return 0;
}
END
gcc -g -O0 -fsanitize=address,undefined x.c -o x; ./x 2>&1 | sed 's/0x[0-9a-f]*/X/g'; ./x bad >log 2>&1 || echo $?
grep -o 'AddressSanitizer: heap-buffer-overflow' log | sort -u; grep -o 'main.*x.c:5' log | head -n 1; grep SUMMARY log | grep -o 'heap.*'"#,
    ),
    (
        "gcc_leak_sanitizer",
        &["gcc"],
        BUILD,
        r#"printf '#include <stdlib.h>\nvoid *p; int main(void) { p = malloc(24); p = 0; return 0; }\n' >x.c
gcc -g -O0 -fsanitize=address x.c -o x; ./x 2>&1 | grep -o 'SUMMARY.*'"#,
    ),
    (
        "gxx_threads",
        &["g++"],
        BUILD,
        r#"cat >x.cc <<'END'
#include <future>
#include <iostream>
#include <regex>
#include <stdexcept>
int main() {
  auto answer = std::async(std::launch::async, [] { return 6 * 7; });
  try { throw std::runtime_error("thrown"); } catch (const std::exception &e) { std::cout << e.what() << std::endl; }
  std::cout << answer.get() << std::regex_replace("aab", std::regex("a+"), "c") << std::endl;
  int shift = 33; std::cout << (1 << shift) << std::endl;
}
END
g++ -O0 -fsanitize=undefined x.cc -o x -pthread 2>/dev/null && ./x 2>&1"#,
    ),
    (
        "gdb",
        &["gdb", "gcc"],
        BUILD,
        r#"cat >x.c <<'END'
static int square(int n) {
  return n * n;
}
int main(void) { return square(7) - 49; }
END
gcc -g -O0 x.c -o x; gdb -nx -q -batch -ex 'break square' -ex run -ex backtrace -ex 'print n' -ex finish -ex continue ./x 2>&1 | \
sed 's/0x[0-9a-f]*/X/g; s/process [0-9]*/process N/; /libthread_db/d' | grep -v '^$'"#,
    ),
    (
        "strace",
        &["strace", "gcc"],
        BUILD,
        "echo kept >file; strace -f -o log sh -c 'cat file; cat file' && grep -c 'execve(\"' log && strace -c -o counts -e trace=write cat file && \
         grep -o write counts | head -n 1; strace -e trace=none -e signal=all sh -c 'kill -USR1 $$' 2>&1 | grep -o 'SIGUSR1 {si_signo' | head -n 1",
    ),
    (
        "cmake_and_make",
        &["cmake", "make", "gcc"],
        BUILD,
        r#"cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(job C)
add_library(part STATIC part.c)
add_executable(job main.c)
target_link_libraries(job part)
enable_testing()
add_test(NAME runs COMMAND job)
END
echo 'int part(void) { return 42; }' >part.c; cat >main.c <<'END'
#include <stdio.h>
int part(void);
int main(void) { printf("%d\n", part()); return 0; }
END
cmake -S . -B out >log 2>&1 && make -s -j2 -C out >/dev/null && out/job && ctest --test-dir out 2>&1 | grep 'tests passed'"#,
    ),
    (
        "git_linked_worktree",
        &["git"],
        BUILD,
        "git init -q -b main main && cd main && git config user.name Someone && git config user.email a@b && echo one >f && git add f && \
         git commit -qm first && git worktree add -q -b side ../linked && cd ../linked && echo two >>f && git commit -qam second && \
         git log --format=%s && git status --short && git worktree list --porcelain | grep -c worktree && git -C ../main merge -q side && \
         cat ../main/f && git clone -q ../main ../clone && git -C ../clone log --format=%s && git fsck --full",
    ),
    (
        "sqlite3",
        &["sqlite3"],
        BOTH,
        "sqlite3 db 'pragma journal_mode=wal; create table t(a, b); with recursive n(x) as (select 1 union all select x+1 from n limit 9999) \
         insert into t select x, x % 7 from n; create index i on t(b); select b, count(*), sum(a) from t group by b;' && \
         sqlite3 -json db 'select max(a) from t; pragma integrity_check' && ls",
    ),
    (
        "imagemagick",
        &["convert", "identify"],
        BOTH,
        "/usr/bin/convert -size 16x16 xc:red -bordercolor blue -border 2 x.png && identify -format '%wx%h %[colorspace] %#\\n' x.png && \
         convert x.png -rotate 90 -resize 50% y.jpg && identify -format '%wx%h %m\\n' y.jpg; convert -list policy; \
         convert x.png https://example.invalid/x.png 2>&1 | head -n 1 || true; convert 'text:/etc/hosts' z.png 2>&1 | cut -d@ -f1 | head -n 1",
    ),
    (
        "fontconfig",
        &["fc-match", "fc-conflist"],
        BOTH,
        "fc-match -f '%{family}\\n' sans 2>&1; fc-conflist 2>&1 | grep -v \"$PWD\"; fc-list 2>&1 | sort | head",
    ),
    (
        "lua",
        &["lua5.4"],
        BOTH,
        "lua5.4 -e 'local t = {} for i = 1, 1000 do t[#t + 1] = i * i % 97 end table.sort(t) print(#t, t[1], t[1000], 2^53 | 0) \
         print(string.format(\"%q\", \"a\\nb\"), utf8.len(\"\u{fc}ber\"), os.date(\"!%Y\", 0)) print(io.popen(\"echo from a shell\"):read())'",
    ),
    (
        "r",
        &["Rscript"],
        BOTH,
        r#"cat >main.R <<'END'
set.seed(1); x <- 1:50; y <- 2 * x + rnorm(50)
print(coef(lm(y ~ x))); print(summary(iris$Sepal.Length)); print(solve(matrix(c(2, 1, 1, 3), 2)))
print(unlist(parallel::mclapply(1:8, function(n) n^2, mc.cores = 2)))
pdf("x.pdf"); plot(x, y); invisible(dev.off()); print(file.size("x.pdf"))
saveRDS(list(a = 1), "x.rds"); str(readRDS("x.rds")); print(system("echo from a shell", intern = TRUE))
cat(R.home("etc"), Sys.getenv("R_LIBS_SITE"), Sys.getenv("PAGER"), file.exists(file.path(R.home("etc"), "repositories")), "\n")
END
Rscript --vanilla main.R 2>&1 && R CMD config CC && Rscript -e 'cat(R.version.string, "\n")'"#,
    ),
    (
        "r_cluster_and_compiled_code",
        &["Rscript", "gcc", "make"],
        BUILD,
        r#"echo 'void twice(int *n) { *n *= 2; }' >twice.c && R CMD SHLIB twice.c >log 2>&1 && cat >main.R <<'END'
dyn.load("twice.so"); print(.C("twice", 21L)[[1]])
cluster <- parallel::makeCluster(2); print(parallel::parSapply(cluster, 1:4, function(n) n + 1)); parallel::stopCluster(cluster)
END
Rscript main.R"#,
    ),
    (
        "octave",
        &["octave-cli"],
        BOTH,
        r#"cat >main.m <<'END'
A = magic(4); disp(rank(A)); x = A(1:3, 1:3) \ [1; 2; 3]; printf("%.6f\n", x); [q, r] = qr([1 2; 3 4]); printf("%.4f\n", abs(r));
save("-text", "x.txt", "A"); B = load("x.txt"); disp(isequal(A, B.A)); [status, out] = system("echo from a shell"); printf("%s", out);
disp(real(fft([1 0 0 0]))); disp(regexprep("aab", "a+", "c")); disp(version()); s = quad(@(x) x.^2, 0, 3)
m = containers.Map(); m("a") = 1; disp(m.keys()); disp(jsonencode(struct("a", [1 2])));
END
octave-cli --quiet main.m 2>&1"#,
    ),
    (
        "ffmpeg",
        &["ffmpeg", "ffprobe"],
        BOTH,
        "ffmpeg -v error -f lavfi -i testsrc2=size=128x72:rate=10:duration=1 -f lavfi -i sine=duration=1 -c:v mpeg4 -c:a aac \
         -flags bitexact -threads 2 x.mkv 2>&1 && ffmpeg -v error -i x.mkv -c:v libx264 -threads 2 -c:a libmp3lame y.mp4 2>&1 && \
         ffprobe -v error -show_entries stream=codec_name,nb_frames,channels -of csv y.mp4 && \
         ffmpeg -v error -i y.mp4 -vf 'scale=64:-1,drawtext=text=hello:font=sans' -frames:v 1 -f framemd5 - 2>&1 | tail -n 1 && \
         ffmpeg -v error -i x.mkv -f framemd5 - | tail -n 2 && ffmpeg -v error -i pipe:0 -f wav pipe:1 <x.mkv | wc -c",
    ),
    (
        "pandoc",
        &["pandoc"],
        BOTH,
        r#"cat >x.md <<'END'
# Title

Some *text* and `code`, and $x^2$.

| a | b |
|---|---|
| 1 | 2 |

``` {.python}
print(1)
```
END
pandoc x.md -s --mathml --metadata title=T -t html -o x.html && cat x.html && pandoc x.html -t json | sha256sum && \
pandoc x.md -o x.docx && pandoc x.docx -t markdown && pandoc x.md --metadata title=T -o x.epub && pandoc x.epub -t plain"#,
    ),
    (
        "tar_and_rsync",
        &["tar", "rsync"],
        BOTH,
        "mkdir -p from/below && echo one >from/a && echo two >from/below/b && ln -s a from/link && ln from/a from/hard && chmod 640 from/a && \
         touch -d @1000000000 from/a && rsync -aH --stats from/ to | grep 'files:' && diff -r from to && stat -c '%a %h %Y' to/a && \
         rm from/a && rsync -aH --delete from/ to && tar -C to -czf t.tgz . && mkdir x && tar -xzpf t.tgz -C x && find x | sort",
    ),
    (
        "vim",
        &["vim"],
        BOTH,
        "printf 'one\\ntwo\\n' >f; vim -N -i NONE -es -c '%s/o/0/g' -c 'g/0ne/m$' -c wq f </dev/null; cat f; \
         vim -N -u NONE -i NONE -es -c 'redir! > out | silent echo has(\"unix\") strftime(\"%Y\", 0) | redir END' -c qa </dev/null; cat out",
    ),
    (
        "tmux",
        &["tmux"],
        BUILD,
        "export TMUX_TMPDIR=$PWD; tmux -f /dev/null new-session -d -x 80 -y 24 'tty | cut -c1-9 >out; stty size >>out; tmux wait-for -S done; sleep 9' && \
         tmux wait-for done && cat out && tmux list-sessions -F '#{session_name} #{window_width}' && tmux kill-server",
    ),
    (
        "jq",
        &["jq"],
        BOTH,
        "jq -nc '[range(5)] | map({n: ., s: (. * . | tostring)}) | group_by(.n % 2), (now | type), (\"a1b22\" | [scan(\"[0-9]+\")])'",
    ),
    (
        "openssl",
        &["openssl"],
        BOTH,
        "echo text >file && openssl genpkey -algorithm ed25519 -out key 2>/dev/null && openssl pkey -in key -pubout -out pub && \
         openssl pkeyutl -sign -rawin -inkey key -in file -out sig && openssl pkeyutl -verify -rawin -pubin -inkey pub -in file -sigfile sig && \
         openssl dgst -sha512 file && openssl enc -aes-256-cbc -pbkdf2 -salt -pass pass:x -in file | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x && \
         openssl req -new -key key -subj /CN=someone | openssl req -noout -subject -verify 2>&1 && openssl version -d && openssl list -providers",
    ),
    (
        "gpg",
        &["gpg", "gpg-agent"],
        BUILD,
        "mkdir -m 700 g && export GNUPGHOME=$PWD/g && gpg -q --batch --passphrase '' --quick-gen-key someone ed25519 sign never 2>/dev/null && \
         echo text >file && gpg -q --batch --armor --detach-sign file && gpg --batch --verify file.asc file 2>&1 | grep -o 'Good signature.*'; \
         gpg --batch -q --passphrase x --pinentry-mode loopback --symmetric file && \
         gpg --batch -q --passphrase x --pinentry-mode loopback --decrypt file.gpg; gpgconf --kill gpg-agent",
    ),
    (
        "busybox",
        &["busybox"],
        BOTH,
        "seq 2000 | busybox sort -rn | busybox awk '{s += $1} END {print s, NR}'; echo x | busybox sha256sum; \
         busybox tar c /usr/share/doc/busybox-static 2>/dev/null | busybox wc -c; busybox sh -c 'busybox expr 6 \\* 7; exit 3' || echo $?",
    ),
    (
        "getent",
        &["getent"],
        BOTH,
        "getent services https ssh domain/udp; getent protocols icmp; getent passwd root | cut -d: -f1,3",
    ),
];

type Check = fn(Caller) -> Result<(), Failed>;

const CHECKS: &[(&str, &[&str], Check)] = &[
    ("ssh_keygen", &["ssh-keygen"], ssh_keygen),
    ("curl_on_the_hosts_loopback", &["curl"], curl_on_the_hosts_loopback),
    ("names_of_the_hosts_network", &["getent"], names_of_the_hosts_network),
];

/// Each program, as each caller.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, needs) in [(Caller::Root, &[Need::Root][..]), (Caller::User, &[])] {
        let with = |programs: &'static [&'static str]| -> Vec<Need> {
            needs.iter().copied().chain(programs.iter().map(|name| Need::Program(name))).collect()
        };
        for (name, programs, profiles, script) in SCRIPTS {
            for profile in *profiles {
                let name = format!("programs::{name} under {profile} as {caller:?}");
                trials.push(trial(name, &with(programs), move || same(caller, profile, script)));
            }
        }
        for (name, programs, check) in CHECKS {
            let name = format!("programs::{name} as {caller:?}");
            trials.push(trial(name, &with(programs), move || check(caller)));
        }
    }
    // The toolchain may be in a home that only its owner may enter.
    let runner = runner();
    let name = format!("programs::cargo_with_a_vendored_crate as {runner:?}");
    trials.push(trial(name, &[Need::Program("gcc")], move || cargo_with_a_vendored_crate(runner)));
    trials
}

/// A script, outside and inside. In *build* the directory is the caller's, and empty both times; in *strict*
/// it is the sandbox's /tmp.
fn same(caller: Caller, profile: &str, script: &str) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let script = format!("{BEGIN}{script}");
    let control = outside(caller, directory.path(), &script);
    for entry in fs::read_dir(directory.path()).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            .map_err(failed)?;
    }
    let mut options = vec!["-p", profile];
    if profile == "strict" {
        options.extend(["-w", "/tmp"]);
    }
    equal(&inside(caller, directory.path(), options, &script), &control)
}

/// It wants to know its user's name, and the tests' ordinary user has none outside: the control runs as the
/// one who runs the tests.
fn ssh_keygen(caller: Caller) -> Result<(), Failed> {
    let script = format!(
        "{BEGIN}ssh-keygen -q -t ed25519 -N '' -C someone -f key && ssh-keygen -y -f key | cut -d' ' -f1,3 && \
         ssh-keygen -lf key.pub | cut -d' ' -f1,3,4; echo text >file && ssh-keygen -q -Y sign -f key -n file file 2>/dev/null && \
         head -n 1 file.sig && stat -c '%a %s' key.pub"
    );
    let directory = caller::directory(Caller::Root);
    let control = outside(runner(), directory.path(), &script);
    for profile in BOTH {
        let directory = caller::directory(caller);
        let at = if *profile == "strict" { &["-w", "/tmp"][..] } else { &[] };
        equal(&inside(caller, directory.path(), ["-p", profile].iter().chain(at), &script), &control)?;
    }
    Ok(())
}

/// Who runs the tests.
fn runner() -> Caller {
    if nix::unistd::geteuid().is_root() { Caller::Root } else { Caller::User }
}

/// A crate whose one dependency lies beside it, as `cargo vendor` leaves it.
fn cargo_with_a_vendored_crate(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    for (path, content) in [
        (
            "Cargo.toml",
            "[package]\nname = \"job\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nanswer = \"1\"\n[workspace]\n",
        ),
        (
            "src/main.rs",
            "fn main() { println!(\"{}\", answer::answer()); }\n#[test]\nfn answers() { assert_eq!(answer::answer(), 42); }\n",
        ),
        (
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
        ),
        (
            "vendor/answer/Cargo.toml",
            "[package]\nname = \"answer\"\nversion = \"1.0.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n",
        ),
        ("vendor/answer/build.rs", "fn main() { println!(\"cargo:rustc-env=ANSWER=42\"); }\n"),
        ("vendor/answer/src/lib.rs", "pub fn answer() -> u32 { env!(\"ANSWER\").parse().unwrap() }\n"),
        ("vendor/answer/.cargo-checksum.json", "{\"files\": {}}"),
    ] {
        let path = directory.path().join(path);
        let above: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .take_while(|at| *at != directory.path() && !at.exists())
            .map(Path::to_owned)
            .collect();
        for directory in above.iter().rev() {
            fs::create_dir(directory).map_err(failed)?;
            caller::give(caller, directory);
        }
        caller::file(caller, &path, content);
    }
    let sysroot = sysroot()?;
    let mut path = OsString::from("PATH=");
    path.push(sysroot.join("bin"));
    path.push(":/usr/bin:/bin");
    let options: Vec<OsString> =
        vec!["-p".into(), "build".into(), "--ro-bind".into(), sysroot.into(), "-e".into(), path];
    let run =
        inside(caller, directory.path(), options, "cargo run -q && cargo test -q 2>&1 | grep -o '1 passed'");
    if run.code != Some(0) || run.stdout != "42\n1 passed\n" {
        return Err(format!("{run:#?}").into());
    }
    Ok(())
}

/// In *network* the host's loopback is the sandbox's.
fn curl_on_the_hosts_loopback(caller: Caller) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    // Ends with the tests: each request is answered, and none is waited for.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answered = stream.and_then(answer);
            if let Err(error) = answered {
                eprintln!("the tests' server: {error}");
            }
        }
    });
    let script = format!(
        "{BEGIN}curl -sS --max-time 20 -D head http://127.0.0.1:{port}/x && head -n 1 head && curl -sS --max-time 20 -o out \
         -w '%{{http_code}} %{{size_download}}\\n' http://localhost:{port}/y"
    );
    let directory = caller::directory(caller);
    let control = outside(caller, directory.path(), &script);
    equal(&inside(caller, directory.path(), ["-p", "network", "-w", "/tmp"], &script), &control)?;
    // And nowhere else.
    let run = inside(caller, directory.path(), ["-p", "standard", "-w", "/tmp"], &script);
    if run.code == Some(7) { Ok(()) } else { Err(format!("{run:#?}").into()) }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 64 << 10 {
        match stream.read(&mut bytes)? {
            0 => break,
            count => head.extend_from_slice(&bytes[..count]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
}

/// What the host resolves without a server is resolved with its network, and so is the sandbox's own name.
fn names_of_the_hosts_network(caller: Caller) -> Result<(), Failed> {
    let directory = caller::directory(caller);
    let names = "for name in $(sed 's/#.*//' /etc/hosts | awk '{for (i = 2; i <= NF; i++) print $i}' | sort -u); do \
                 getent ahosts $name | awk '{print $1}' | sort -u; done";
    let control = outside(caller, directory.path(), names);
    // The names are read outside: inside it could be another file.
    let list = outside(
        caller,
        directory.path(),
        "sed 's/#.*//' /etc/hosts | awk '{for (i = 2; i <= NF; i++) print $i}' | sort -u",
    );
    let words = list.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let script = format!("for name in {words}; do getent ahosts $name | awk '{{print $1}}' | sort -u; done");
    equal(&inside(caller, directory.path(), ["-p", "network", "-w", "/tmp"], &script), &control)?;
    let run =
        inside(caller, directory.path(), ["-p", "network", "-w", "/tmp"], "getent hosts $(hostname) | wc -l");
    if run.stdout == "1\n" { Ok(()) } else { Err(format!("{run:#?}").into()) }
}
