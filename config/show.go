package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Schema is the JSON Schema (draft 2020-12) of the file, for editors and validators.
//
//go:embed larder.schema.json
var Schema []byte

// YAML returns c as a file, with REDACTED in place of passwords. ${NAME} stays as it is.
func (c *Config) YAML() ([]byte, error) {
	shown := *c
	shown.Store.Location = shown.Store.Location.redacted()
	var b bytes.Buffer
	d, err := yaml.NewDumper(&b, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("configuration as YAML: %w", err)
	}
	if err := d.Dump(&shown); err != nil {
		return nil, fmt.Errorf("configuration as YAML: %w", err)
	}
	if err := d.Close(); err != nil {
		return nil, fmt.Errorf("configuration as YAML: %w", err)
	}
	return b.Bytes(), nil
}

// redacted returns t without the password in it.
func (t Text) redacted() Text {
	before, rest, found := strings.Cut(string(t), "://")
	if !found {
		return t
	}
	i := strings.LastIndexByte(rest, '@')
	user := rest[:max(0, i)]
	name, password, _ := strings.Cut(user, ":")
	if password != "" && !variable.MatchString(password) {
		user = name + ":REDACTED"
	}
	if i >= 0 {
		user += "@"
	}
	return Text(before + "://" + user + strings.TrimPrefix(withoutPassword(string(t)), before+"://"))
}
