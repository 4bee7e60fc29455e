package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// The OpenAPI document has exactly the routes, and its references exist.
func TestOpenAPI(t *testing.T) {
	answer := serveRequest(&standIn{}, "GET", "/culvert/openapi.json", "")
	var document struct {
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
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil || answer.Code != http.StatusOK ||
		document.OpenAPI != "3.1.0" {
		t.Fatalf("found %d %v %s", answer.Code, err, answer.Body)
	}
	routes := map[string]bool{}
	ids := map[string]bool{}
	for _, r := range Routes() {
		call := r.Method + " " + r.Path
		o, ok := document.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("expected %s in the document", call)
		}
		routes[call] = true
		if o.Summary != r.Summary || len(o.Responses) == 0 || ids[o.OperationID] {
			t.Errorf("%s: found %+v", call, o)
		}
		ids[o.OperationID] = true
		inPath := 0
		for _, p := range o.Parameters {
			if p.In == "path" {
				inPath++
				if !strings.Contains(r.Path, "{"+p.Name+"}") {
					t.Errorf("%s: expected the parameter %s", call, p.Name)
				}
			}
		}
		if inPath != strings.Count(r.Path, "{") {
			t.Errorf("%s: expected its parameters, found %v", call, o.Parameters)
		}
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if call := strings.ToUpper(method) + " " + path; !routes[call] {
				t.Errorf("%s: expected a route for it", call)
			}
		}
	}
	text := answer.Body.String()
	for remaining := text; ; {
		_, after, hasMore := strings.Cut(remaining, `"$ref":"#/components/schemas/`)
		if !hasMore {
			break
		}
		name, _, _ := strings.Cut(after, `"`)
		if _, ok := document.Components.Schemas[name]; !ok {
			t.Errorf("expected the schema %s to exist", name)
		}
		remaining = after
	}
	if len(document.Components.Schemas) < 10 {
		t.Errorf("expected schemas, found %d", len(document.Components.Schemas))
	}
	// A required list of dead letters would make a client replay none where it means all.
	if schema := document.Components.Schemas["ReplayAsked"]; len(schema.Required) > 0 {
		t.Errorf("expected a replay to need nothing, found %q", schema.Required)
	}
}
