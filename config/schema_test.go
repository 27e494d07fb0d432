package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	yaml "go.yaml.in/yaml/v4"
)

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("larder.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("larder.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid reports whether the schema takes a file, as an editor reads it.
func valid(s *jsonschema.Schema, file string) error {
	var v any
	if err := yaml.Unmarshal([]byte(file), &v); err != nil {
		return err
	}
	text, err := json.Marshal(plain(v))
	if err != nil {
		return err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(instance)
}

// plain is what JSON has of what YAML has.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			v[name] = plain(value)
		}
	case map[any]any:
		out := make(map[string]any)
		for name, value := range v {
			out[fmt.Sprint(name)] = plain(value)
		}
		return out
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return v
}

// good are files that say something, or nothing.
var good = []string{
	"",
	"# nothing\n",
	"store: # all of it is a comment now\n",
	"store: {location: 'sqlite:cache.sqlite', max-bytes: 2GiB}",
	"store: {location: 'memory:', max-bytes: none}",
	"store: {location: 'disk:~/cache?max-bytes=1GB', compress: true, encrypt-key-files: [a.key, b.key]}",
	"store: {location: 'redis://larder:${SECRET}@cache.internal:6379/0', front: {max-bytes: 32MiB, max-body: 64KiB, lifetime: never, alone: 30s}}",
	"store: {location: 'bolt:/var/lib/x'}",
	"cache: {shared: true, name: mine, targeted: [], show-key: true, verify-digests: true, max-body: 10MiB, max-key-body: 4096, max-variants: 8, keep-stale: 2w, refresh-timeout: 10s, store-timeout: 1s, lease-time: 10s, lease-wait: 2s, fail-closed: true}",
	"cache: {targeted: [My-Cache-Control]}",
	"rules: [{match: api.example.com/v1/**, ttl: 1h}]",
	"rules:\n- ttl: forever\n- ttl: never\n- expires: 2027-01-31T12:00:00Z\n",
	"rules: [{methods: [GET, POST], statuses: [200, 404], tags: [a], sort-query: true, key-headers: ['*'], ignore: {query: [utm_*], header: [X-Id], form: [t], json: [a.*.b]}, redact: [api_key], strip: [Set-Cookie], max-body: 1MiB, stale-while-revalidate: 1m, stale-if-error: never}]",
	"redact: [Authorization, api_key]",
	"serve: {listen: '0.0.0.0:8080', origins: ['https://api.example.com', '/img=https://img.example.com'], hosts: ['*'], private: true, preserve-host: true, forwarded: true, via: edge, ttl: 5m, offline: true, stale: true}",
	"serve: {cert: cert.pem, key: key.pem, max-body: 1MiB, max-header: 32KiB, max-response-header: 1MiB, max-connections: 10, max-streams: 5, header-timeout: 5s, idle-timeout: 1m, connect-timeout: 2s, response-timeout: 30s, stall-timeout: 10s, grace: 5s}",
}

func TestSchemaAndLoaderAgree(t *testing.T) {
	t.Setenv("SECRET", "x")
	t.Setenv("EMPTY", "")
	t.Setenv("LOCATION", "postgres://me:s3cret@host/s3cret")
	s := compiled(t)
	for _, file := range good {
		if _, err := Parse("larder.yaml", []byte(file)); err != nil {
			t.Errorf("%s\nis refused: %v", file, err)
		}
		if err := valid(s, file); err != nil {
			t.Errorf("%s\nis refused by the schema: %v", file, err)
		}
	}
	for _, c := range wrong {
		if err := valid(s, c.file); err == nil && !c.loader {
			t.Errorf("%s\nis taken by the schema", c.file)
		}
	}
}

// TestSchemaHasEveryField goes through the types and the schema side by side.
func TestSchemaHasEveryField(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	defs := schema["$defs"].(map[string]any)
	seen := 0
	var walk func(path string, kind reflect.Type, node map[string]any)
	walk = func(path string, kind reflect.Type, node map[string]any) {
		if ref, ok := node["$ref"].(string); ok {
			target := defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
			if node["description"] == nil && target["description"] == nil {
				t.Errorf("%s has no description", path)
			}
			node = target
		} else if path != "" && node["description"] == nil {
			t.Errorf("%s has no description", path)
		}
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch {
		case kind.Kind() == reflect.Slice && node["items"] != nil && kind.Elem().Kind() == reflect.Struct:
			walk(path+"[]", kind.Elem(), node["items"].(map[string]any))
		case kind.Kind() == reflect.Struct && kind != reflect.TypeFor[time.Time]():
			properties, _ := node["properties"].(map[string]any)
			fields := names(kind)
			for name := range properties {
				if !slices.Contains(fields, name) {
					t.Errorf("the schema has %s.%s, the loader has not", path, name)
				}
			}
			for _, f := range reflect.VisibleFields(kind) {
				name := fieldName(f)
				if name == "" {
					continue
				}
				seen++
				property, ok := properties[name].(map[string]any)
				if !ok {
					t.Errorf("the loader has %s.%s, the schema has not", path, name)
					continue
				}
				walk(path+"."+name, f.Type, property)
			}
		}
	}
	walk("", reflect.TypeFor[Config](), schema)
	if seen < 60 {
		t.Errorf("only %d fields were seen", seen)
	}
}

// TestDocumentHasEveryField shows that docs/config.md names each field, and that its example is the one that is tested.
func TestDocumentHasEveryField(t *testing.T) {
	text, err := os.ReadFile("../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("larder.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```yaml\n"+string(example)+"```") {
		t.Error("docs/config.md does not show larder.example.yaml as it is")
	}
	var walk func(kind reflect.Type)
	walk = func(kind reflect.Type) {
		for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		if kind.Kind() != reflect.Struct || kind == reflect.TypeFor[time.Time]() {
			return
		}
		for _, f := range reflect.VisibleFields(kind) {
			if name := fieldName(f); name != "" {
				if !strings.Contains(string(text), "`"+name+"`") {
					t.Errorf("docs/config.md says nothing of %s", name)
				}
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[Config]())
}

func TestExampleFile(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "s3cret")
	c, err := Load("larder.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("larder.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(compiled(t), string(text)); err != nil {
		t.Errorf("the schema refuses it: %v", err)
	}
	shown, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "s3cret") || !strings.Contains(string(shown), "${REDIS_PASSWORD}") {
		t.Errorf("it is shown as\n%s", shown)
	}
	again, err := Parse("larder.example.yaml", shown)
	if err != nil {
		t.Fatalf("what is shown is no file: %v\n%s", err, shown)
	}
	c.at, again.at = nil, nil
	if !reflect.DeepEqual(c, again) {
		t.Errorf("what is shown says something else:\n%s", shown)
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range good {
		f.Add([]byte(file))
	}
	for _, c := range wrong {
		f.Add([]byte(c.file))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("larder.yaml", text)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), "\n\n") {
				t.Fatalf("it says %q", err)
			}
			return
		}
		for _, r := range c.LarderRules() {
			if err := r.Check(); err != nil {
				t.Fatalf("a rule is faulty: %v", err)
			}
		}
		shown, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("larder.yaml", shown); err != nil {
			t.Fatalf("what is shown is no file: %v\n%s", err, shown)
		}
	})
}
