package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

const forms = "want redis://[user:password@]host:port/db, redis+cluster://host:port,host:port or " +
	"redis+sentinel://host:port,host:port/MASTER, rediss for TLS, with what is special in a password percent-encoded"

// errURL quotes nothing of the URL: any part of it may turn out to be part of the password.
var errURL = errors.New("redis: the URL cannot be read: " + forms)

// parse reads a URL as the package comment describes it, over o.
func parse(s string, o Options) (opts rueidis.ClientOption, _ Options, err error) {
	scheme, rest, _ := strings.Cut(s, "://")
	scheme, kind, _ := strings.Cut(scheme, "+")
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	hosts := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hosts = authority[i+1:]
		user, password, _ := strings.Cut(authority[:i], ":")
		if opts.Username, err = url.PathUnescape(user); err != nil {
			return opts, o, errURL
		}
		if opts.Password, err = url.PathUnescape(password); err != nil {
			return opts, o, errURL
		}
	}
	values, err := url.ParseQuery(strings.ReplaceAll(query, "+", "%2B")) // a + in a password is no space
	if err != nil || scheme != "redis" && scheme != "rediss" || strings.Contains(path+query, "@") {
		return opts, o, errURL
	}
	if scheme == "rediss" {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		opts.Sentinel.TLSConfig = opts.TLSConfig
	}
	if err := locate(kind, hosts, path, &opts); err != nil {
		return opts, o, err
	}
	if err := settings(values, &opts, &o); err != nil {
		return opts, o, fmt.Errorf("redis: %w", err)
	}
	return opts, o, nil
}

// locate reads where the servers are, of which kind they are, and which database is meant.
func locate(kind, hosts, path string, opts *rueidis.ClientOption) error {
	for host := range strings.SplitSeq(hosts, ",") {
		address, err := address(host, kind)
		if err != nil {
			return err
		}
		opts.InitAddress = append(opts.InitAddress, address)
	}
	db := path
	switch kind {
	case "":
		if len(opts.InitAddress) > 1 {
			return errURL
		}
		opts.ForceSingleClient = true
	case "sentinel":
		opts.Sentinel.MasterSet, db, _ = strings.Cut(path, "/")
		if opts.Sentinel.MasterSet == "" {
			return errors.New("redis: the URL does not name the master that the Sentinels watch: want redis+sentinel://host:port/MASTER")
		}
	case "cluster":
		if db != "" {
			return errors.New("redis: a Cluster has no databases to choose from: want redis+cluster://host:port,host:port without a path")
		}
	default:
		return errURL
	}
	if db == "" {
		return nil
	}
	n, err := strconv.Atoi(db)
	if err != nil || n < 0 {
		return errors.New("redis: what follows the address in the URL is the number of a database, as in redis://host:6379/0")
	}
	opts.SelectDB = n
	return nil
}

// address returns host:port, with the usual port if none is given.
func address(host, kind string) (string, error) {
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	u := url.URL{Host: host}
	if p := u.Port(); p != "" {
		port = p
	}
	name := u.Hostname()
	if n, err := strconv.Atoi(port); name == "" || strings.ContainsAny(name, " :") && net.ParseIP(name) == nil || err != nil || n < 1 || n > 65535 {
		return "", errURL
	}
	return net.JoinHostPort(name, port), nil
}

const wanted = "want prefix=NAME, max-body=SIZE or max-body=none, near=SIZE, cacert=FILE, cert=FILE and key=FILE, " +
	"sentinel-user and sentinel-password, with what is special percent-encoded"

// settings reads the options of the URL.
func settings(values url.Values, opts *rueidis.ClientOption, o *Options) (err error) {
	var ca, cert, key string
	for name, all := range values {
		value := all[len(all)-1]
		switch name {
		case "prefix":
			o.Prefix = value
		case "max-body":
			if o.MaxBody = -1; value != "none" {
				o.MaxBody, err = size(value)
			}
		case "near":
			o.Near, err = size(value)
		case "cacert":
			ca = value
		case "cert":
			cert = value
		case "key":
			key = value
		case "sentinel-user":
			opts.Sentinel.Username = value
		case "sentinel-password":
			opts.Sentinel.Password = value
		default: // its name may be the rest of a password
			return errors.New("the URL has an unknown option; " + wanted)
		}
		if err != nil {
			return fmt.Errorf("the URL's option %q: %w; %s", name, err, wanted)
		}
	}
	return certificates(opts.TLSConfig, ca, cert, key)
}

// certificates reads the files of certificates to trust and to show; c is nil without TLS.
func certificates(c *tls.Config, ca, cert, key string) error {
	switch {
	case ca == "" && cert == "" && key == "":
		return nil
	case c == nil:
		return errors.New("certificates are for rediss:// only")
	case (cert == "") != (key == ""):
		return errors.New("cert=FILE and key=FILE go together")
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("the certificates to trust: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("the certificates to trust: there is none in %s", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("the certificate to show: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// size reads a number of bytes, as 500000, 512KiB, 64MiB or 1GiB.
func size(s string) (int64, error) {
	unit := int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(s, name); ok {
			s, unit = number, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || n > 1<<62/unit {
		return 0, errors.New("not a size such as 64MiB")
	}
	return n * unit, nil
}
