package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-go/larder"
	"github.com/larder-go/larder/proxy"
)

// check returns what is wrong with values that are well-formed one by one.
func (c *Config) check() Faults {
	return slices.Concat(c.checkStore(), c.checkRules(), c.checkServe())
}

func (c *Config) checkStore() (faults Faults) {
	at, err := c.Location()
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		faults = append(faults, fault)
	case c.Store.Front != nil && at.Kind == "memory":
		faults = append(faults, c.fault("store.front", "the store is in memory itself, and needs none in front"))
	}
	return faults
}

// checkRules calls larder.Rule.Check for one field of a rule at a time, and so finds the one at fault.
func (c *Config) checkRules() (faults Faults) {
	for i := range c.Rules {
		rule := c.Rules[i].larder()
		path := fmt.Sprintf("rules[%d]", i)
		before := len(faults)
		check := func(field string, r larder.Rule) {
			if err := r.Check(); err != nil {
				faults = append(faults, c.fault(path+field, "%s", strings.TrimPrefix(err.Error(), `rule "": `)))
			}
		}
		check(".match", larder.Rule{Match: rule.Match})
		for j, method := range rule.Methods {
			check(fmt.Sprintf(".methods[%d]", j), larder.Rule{Methods: []string{method}})
		}
		for j, status := range rule.Statuses {
			check(fmt.Sprintf(".statuses[%d]", j), larder.Rule{Statuses: []int{status}})
		}
		for j, tag := range rule.Tags {
			check(fmt.Sprintf(".tags[%d]", j), larder.Rule{Tags: []string{tag}})
		}
		for name, list := range map[string]int{"methods": len(rule.Methods), "statuses": len(rule.Statuses)} {
			if field := path + "." + name; list == 0 && c.given(field) {
				faults = append(faults, c.fault(field, "the list is empty; leave it out for what the standard allows"))
			}
		}
		if rule.TTL != 0 && !rule.Expires.IsZero() {
			faults = append(faults, c.fault(path+".expires", "ttl is given, too, want one of them"))
		}
		if len(faults) == before {
			check("", rule)
		}
	}
	return faults
}

// given reports whether the file has a value for the field.
func (c *Config) given(field string) bool {
	_, ok := c.at[field]
	return ok
}

func (c *Config) checkServe() (faults Faults) {
	s := &c.Serve
	if s.Listen != "" {
		listen, _ := s.Listen.Expand() // decode has checked that
		if err := CheckAddress(listen); err != nil {
			faults = append(faults, c.fault("serve.listen", "%q: %v", s.Listen, err))
		}
	}
	for i, o := range s.Origins {
		if _, err := parseOrigin(o); err != nil {
			faults = append(faults, c.fault(fmt.Sprintf("serve.origins[%d]", i), "%v", err))
		}
	}
	if (s.Cert == "") != (s.Key == "") {
		faults = append(faults, c.fault("serve."+map[bool]string{true: "key", false: "cert"}[s.Cert == ""], "cert and key go together"))
	}
	if len(faults) > 0 || len(s.Origins) == 0 {
		return faults
	}
	p, err := c.Proxy(new(larder.Cache))
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		field := "serve.origins"
		if p != nil && (&proxy.Proxy{Origins: p.Origins}).Check() == nil {
			field = "serve.via"
		}
		faults = append(faults, c.fault(field, "%s", strings.TrimPrefix(err.Error(), "proxy: ")))
	}
	return faults
}

// CheckAddress reports what is wrong with an address to listen at: it must be HOST:PORT, neither of them empty.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if _, number := strconv.ParseUint(port, 10, 16); err != nil || host == "" || number != nil {
		return errors.New("want HOST:PORT, where the HOST 127.0.0.1 is this machine alone, and 0.0.0.0 every network")
	}
	return nil
}
