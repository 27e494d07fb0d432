package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// position is a place in a file, from 1.
type position struct{ line, column int }

// decode reads text into c, as YAML of the types in config.go, and returns what is wrong with it.
func (c *Config) decode(text []byte) Faults {
	if len(text) > maxFile {
		return Faults{{File: c.file, Problem: "the file is larger than 1 MiB"}}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return Faults{{File: c.file, Problem: err.Error()}}
	}
	d := decoder{c: c}
	var document, second yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF): // an empty file
		return nil
	case err != nil:
		return Faults{syntax(c.file, err)}
	}
	switch err := loader.Load(&second); {
	case err == nil:
		d.fault(&second, "", "a second document begins here (---), want one")
	case !errors.Is(err, io.EOF):
		return Faults{syntax(c.file, err)}
	}
	if len(document.Content) == 1 {
		d.value(document.Content[0], reflect.ValueOf(c).Elem(), "")
	}
	return d.faults
}

// syntax returns why a file is not YAML. It quotes nothing of the file.
func syntax(file string, err error) *Fault {
	f := &Fault{File: file, Problem: "it is not YAML"}
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return f
	}
	f.Line, f.Column = e.Mark.Line, e.Mark.Column
	if strings.HasPrefix(e.Message, "unknown anchor") { // the message quotes its name
		f.Problem = noAlias
		return f
	}
	f.Problem += ": " + e.Message
	if e.ContextMsg != "" && e.ContextMark.Line > 0 && e.ContextMark.Line != e.Mark.Line {
		f.Problem += fmt.Sprintf(", %s that begins in line %d", e.ContextMsg, e.ContextMark.Line)
	}
	return f
}

const noAlias = "anchors (&), aliases (*) and tags (!) are not read here: write out what they stand for, or put the value in quotes"

// decoder turns the nodes of a file into values, and notes where they were.
type decoder struct {
	c      *Config
	faults Faults
}

func (d *decoder) fault(n *yaml.Node, path, format string, a ...any) {
	d.faults = append(d.faults, &Fault{d.c.file, n.Line, n.Column, path, fmt.Sprintf(format, a...)})
}

// value reads n into v, which is the field at path.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	d.c.at[path] = position{n.Line, n.Column}
	kind := v.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	_, text := reflect.New(kind).Interface().(encoding.TextUnmarshaler)
	null := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "" || !strings.HasPrefix(n.ShortTag(), "!!"):
		d.fault(n, path, "%s", noAlias)
	case null && !text && (kind.Kind() == reflect.Struct || kind.Kind() == reflect.Slice):
		// all that is in it is commented out
	case null:
		d.fault(n, path, "there is no value; give one, or leave the field out")
	case text:
		d.text(n, v, path)
	case kind.Kind() == reflect.Struct:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(kind))
			v = v.Elem()
		}
		d.fields(n, v, path)
	case kind.Kind() == reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// fields reads a mapping into a struct.
func (d *decoder) fields(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "%s is here, want fields: %s", what(n), strings.Join(names(v.Type()), ", "))
		return
	}
	given := make(map[string]int) // the line
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Anchor != "" {
			d.fault(key, path, "%s is here, want the name of a field: %s", what(key), strings.Join(names(v.Type()), ", "))
			continue
		}
		if line, twice := given[name]; twice {
			d.fault(key, join(path, name), "it is given twice, first in line %d", line)
			continue
		}
		given[name] = key.Line
		i := slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool { return name != "" && fieldName(f) == name })
		if i < 0 {
			d.fault(key, path, "there is no field %q, want one of %s", shorten(name), strings.Join(names(v.Type()), ", "))
			continue
		}
		d.value(value, v.Field(i), join(path, name))
	}
}

// list reads a sequence into a slice.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "%s is here, want a list, such as [a, b]", what(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, element := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.value(element, v.Index(i), at)
		if element.Kind == yaml.ScalarNode && element.Value == "" && v.Index(i).Type() == reflect.TypeFor[string]() && element.ShortTag() == "!!str" {
			d.fault(element, at, "it is empty; give a value, or leave it out")
		}
	}
}

// text reads a scalar into one of the types in values.go, or a time.
func (d *decoder) text(n *yaml.Node, v reflect.Value, path string) {
	switch tag := n.ShortTag(); {
	case !d.isScalar(n, path, "a value"), v.Kind() == reflect.String && !d.isString(n, path):
		return
	case tag == "!!float" || tag == "!!bool":
		d.fault(n, path, "%s is here, want it as a text or a whole number", what(n))
		return
	case v.Kind() == reflect.String && n.Value == "":
		d.fault(n, path, "it is empty; give a value, or leave it out")
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	switch {
	case err == nil:
	case v.Kind() == reflect.String: // a Text, in which there may be a password
		d.fault(n, path, "%v", err)
	case v.Type() == reflect.TypeFor[time.Time]():
		d.fault(n, path, "%q: want a moment such as 2027-01-31T12:00:00Z", shorten(n.Value))
	default:
		d.fault(n, path, "%q: %v", shorten(n.Value), err)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		if d.isScalar(n, path, "a text") && d.isString(n, path) {
			v.SetString(n.Value)
		}
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.fault(n, path, "%s is here, want true or false", what(n))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || i <= 0 {
			d.fault(n, path, "%s is here, want a positive number", what(n))
			return
		}
		v.SetInt(int64(i))
	default:
		panic("config: no field can be a " + v.Type().String())
	}
}

func (d *decoder) isScalar(n *yaml.Node, path, want string) bool {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, "%s is here, want %s", what(n), want)
	}
	return n.Kind == yaml.ScalarNode
}

// isString refuses what YAML does not take for text, as editors that use the schema do.
func (d *decoder) isString(n *yaml.Node, path string) bool {
	tag := n.ShortTag()
	if tag != "!!str" && tag != "!!timestamp" {
		d.fault(n, path, "%s is here, want a text; put it in quotes", what(n))
		return false
	}
	return true
}

// what describes a node for people, without its value where that may be a password.
func what(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + shorten(n.Value)
	case "!!bool":
		return n.Value
	case "!!null":
		return "nothing"
	}
	return "a text"
}

// shorten makes a value short enough to be quoted in an error, and takes the password out of a URL.
func shorten(s string) string {
	const most = 60
	s = withoutPassword(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// names are those of a struct's fields in a file.
func names(t reflect.Type) []string {
	var all []string
	for _, f := range reflect.VisibleFields(t) {
		if name := fieldName(f); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// fieldName is a field's name in a file; "": it is not for files.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func join(path, name string) string {
	name = shorten(name)
	if path == "" {
		return name
	}
	return path + "." + name
}
