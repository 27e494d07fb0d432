package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// proxyServer is a caching reverse proxy: a process of its own.
type proxyServer struct {
	name    string
	program string
	args    func(dir, origin, address string) ([]string, error) // dir is empty, and its own
}

// proxyServers use what their makers and Debian set, and as many processors as there are; nobody logs requests.
func proxyServers(larder string) []proxyServer {
	serve := func(name, store string) proxyServer {
		return proxyServer{"larder serve, " + name, larder, func(dir, origin, address string) ([]string, error) {
			return []string{"serve", "--origin", origin, "--listen", address, "--store", strings.ReplaceAll(store, "DIR", dir)}, nil
		}}
	}
	return []proxyServer{
		serve("memory", "memory:"),
		serve("disk", "disk:DIR/cache"),
		{"nginx proxy_cache", "nginx", nginx},
		{"Varnish", "varnishd", func(dir, origin, address string) ([]string, error) {
			return []string{"-F", "-j", "none", "-n", dir, "-a", address, "-b", strings.TrimPrefix(origin, "http://"), "-s", "malloc,256m"}, nil
		}},
	}
}

func nginx(dir, origin, address string) ([]string, error) {
	user := "" // of the workers, for whom the folder has to be open
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	text := fmt.Sprintf(`%s worker_processes %d; daemon off; pid %[3]s/pid; error_log stderr;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
	client_body_temp_path %[3]s/client; fastcgi_temp_path %[3]s/fastcgi; uwsgi_temp_path %[3]s/uwsgi; scgi_temp_path %[3]s/scgi;
	proxy_temp_path %[3]s/temp; proxy_cache_path %[3]s/cache levels=1:2 keys_zone=all:10m use_temp_path=off;
	server { listen %[4]s; location / { proxy_pass %[5]s; proxy_cache all; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
`, user, runtime.NumCPU(), dir, address, origin)
	path := filepath.Join(dir, "nginx.conf")
	return []string{"-c", path, "-e", "stderr", "-p", dir}, os.WriteFile(path, []byte(text), 0o600)
}

const connections = 64

// proxyContests are hits over loopback that wrk asks for: those of larder serve beside those of nginx and Varnish. They
// are left out where one of the programs is not installed (Debian: nginx-light, varnish, wrk).
func proxyContests(larder string) []contest {
	servers := proxyServers(larder)
	programs := []string{"wrk"}
	for _, s := range servers {
		programs = append(programs, s.program)
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			fmt.Fprintf(os.Stderr, "left out, the proxies: %v\n", err)
			return nil
		}
	}
	var contests []contest
	for _, want := range []struct {
		size  int
		limit float64
	}{{kb, 1 / 0.8}, {mb, 1 / 0.9}} {
		size := want.size
		c := contest{name: fmt.Sprintf("proxied hit %s, %d connections", sizeText(size), connections), kept: true}
		for _, s := range servers {
			e := &entry{name: s.name, open: func() (*job, error) { return s.hit(size) }}
			if s.program == larder {
				e.targets = []target{{"× nginx by the clock", want.limit, func(c *contest, e *entry) float64 { return e.ratio(wall, nil, c.entry("nginx proxy_cache")) }}}
			}
			c.entries = append(c.entries, e)
		}
		c.entries = append(c.entries, &entry{name: "net/http alone", open: func() (*job, error) { return bareServer(size) }})
		contests = append(contests, c)
	}
	return contests
}

// hit lets the proxy answer from its cache.
func (s proxyServer) hit(size int) (*job, error) {
	o := newOrigin(size, fresh)
	behind := httptest.NewServer(o)
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args, err := s.args(dir, behind.URL, address)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), "LARDER_HISTORY="+filepath.Join(dir, "history.db"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := func() error {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait() // some end in an error when they are told to end
		behind.Close()
		if asked := o.asked.Load(); asked != 1 {
			return fmt.Errorf("the origin was asked %d times for one resource; it said: %s", asked, said.String())
		}
		return nil
	}
	url := "http://" + address + "/v1/things"
	if err := await(url, size); err != nil {
		return nil, errors.Join(err, end())
	}
	return &job{turn: func() (sample, error) { return wrk(url, func() time.Duration { return processTime(cmd.Process.Pid) }) }, close: end}, nil
}

// bareServer answers with the same bytes without anything behind it, in this process: the least that a server on
// net/http takes.
func bareServer(size int) (*job, error) {
	s := httptest.NewServer(newOrigin(size, fresh))
	return &job{
		turn:  func() (sample, error) { return wrk(s.URL, cpuTime) },
		close: func() error { s.Close(); return nil },
	}, nil
}

// wrk asks for url for a second, and returns what a request took: on the clock, and of the time that used tells.
func wrk(url string, used func() time.Duration) (sample, error) {
	before := used()
	out, err := exec.Command("wrk", "-t", strconv.Itoa(runtime.NumCPU()), "-c", strconv.Itoa(connections), "-d", "1s", url).CombinedOutput()
	took := used() - before
	total, rate := wrkTotal.FindSubmatch(out), wrkRate.FindSubmatch(out)
	if err != nil || total == nil || rate == nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		return sample{}, fmt.Errorf("wrk: %v: %s", err, out)
	}
	n, _ := strconv.ParseFloat(string(total[1]), 64)
	persecond, _ := strconv.ParseFloat(string(rate[1]), 64)
	return sample{cpu: float64(took) / n, wall: 1e9 / persecond}, nil
}

var (
	wrkTotal = regexp.MustCompile(`(\d+) requests in`)
	wrkRate  = regexp.MustCompile(`Requests/sec: +([\d.]+)`)
)

// processTime returns what a process and its children have used of the processors; 0 where the system does not tell.
func processTime(pid int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ, which is 100 on every Linux that Go runs on
	var sum int64
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		own := filepath.Base(filepath.Dir(path)) == strconv.Itoa(pid)
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from the third on, see proc(5)
		if parent := f[1]; !own && parent != strconv.Itoa(pid) {
			continue
		}
		for _, ticks := range f[11:13] {
			n, _ := strconv.ParseInt(ticks, 10, 64)
			sum += n
		}
	}
	return time.Duration(sum) * tick
}

// await asks for url until it is answered, and twice more: what is at rest is served another way by some.
func await(url string, size int) error {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = fetch(url, size); err == nil {
			time.Sleep(4 * time.Second) // larder's disk store trusts a file whose last change is 3 s ago
			return errors.Join(fetch(url, size), fetch(url, size))
		}
	}
	return err
}

func fetch(url string, size int) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != int64(size) || err != nil {
		return fmt.Errorf("%s: %s, %d bytes, %v", url, resp.Status, n, err)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
