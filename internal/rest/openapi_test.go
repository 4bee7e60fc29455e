package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// The OpenAPI document has exactly the routes, and its references exist.
func TestOpenAPI(t *testing.T) {
	answer := sent(&standIn{}, "GET", "/culvert/openapi.json", "")
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Parameters  []struct{ Name, In string }
			Responses   map[string]any
		}
		Components struct {
			Schemas map[string]struct{ Required []string }
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &d); err != nil || answer.Code != http.StatusOK ||
		d.OpenAPI != "3.1.0" {
		t.Fatalf("found %d %v %s", answer.Code, err, answer.Body)
	}
	routes := map[string]bool{}
	ids := map[string]bool{}
	for _, r := range Routes() {
		at := r.Method + " " + r.Path
		o, ok := d.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("expected %s in the document", at)
		}
		routes[at] = true
		if o.Summary != r.Summary || len(o.Responses) == 0 || ids[o.OperationID] {
			t.Errorf("%s: found %+v", at, o)
		}
		ids[o.OperationID] = true
		inPath := 0
		for _, p := range o.Parameters {
			if p.In == "path" {
				inPath++
				if !strings.Contains(r.Path, "{"+p.Name+"}") {
					t.Errorf("%s: expected the parameter %s", at, p.Name)
				}
			}
		}
		if inPath != strings.Count(r.Path, "{") {
			t.Errorf("%s: expected its parameters, found %v", at, o.Parameters)
		}
	}
	for path, methods := range d.Paths {
		for method := range methods {
			if at := strings.ToUpper(method) + " " + path; !routes[at] {
				t.Errorf("%s: expected a route for it", at)
			}
		}
	}
	text := answer.Body.String()
	for rest := text; ; {
		_, after, more := strings.Cut(rest, `"$ref":"#/components/schemas/`)
		if !more {
			break
		}
		name, _, _ := strings.Cut(after, `"`)
		if _, ok := d.Components.Schemas[name]; !ok {
			t.Errorf("expected the schema %s to exist", name)
		}
		rest = after
	}
	if len(d.Components.Schemas) < 10 {
		t.Errorf("expected schemas, found %d", len(d.Components.Schemas))
	}
	// A required list of dead letters would make a client replay none where it means all.
	if asked := d.Components.Schemas["ReplayAsked"]; len(asked.Required) > 0 {
		t.Errorf("expected a replay to need nothing, found %q", asked.Required)
	}
}
