package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
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
	err := json.Unmarshal(answer.Body.Bytes(), &document)
	require.True(t, err == nil && answer.Code == http.StatusOK && document.OpenAPI == "3.1.0",
		"found %d %v %s", answer.Code, err, answer.Body)
	routes := map[string]bool{}
	ids := map[string]bool{}
	for _, r := range Routes() {
		call := r.Method + " " + r.Path
		o, ok := document.Paths[r.Path][strings.ToLower(r.Method)]
		assert.True(t, ok, "expected %s in the document", call)
		routes[call] = true
		assert.True(t, o.Summary == r.Summary && len(o.Responses) != 0 && !ids[o.OperationID], "%s: found %+v", call, o)
		ids[o.OperationID] = true
		inPath := 0
		for _, p := range o.Parameters {
			if p.In == "path" {
				inPath++
				assert.True(t, strings.Contains(r.Path, "{"+p.Name+"}"), "%s: expected the parameter %s", call, p.Name)
			}
		}
		assert.True(t, inPath == strings.Count(r.Path, "{"),
			"%s: expected its parameters, found %v", call, o.Parameters)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			call := strings.ToUpper(method) + " " + path
			assert.True(t, routes[call], "%s: expected a route for it", call)
		}
	}
	text := answer.Body.String()
	for remaining := text; ; {
		_, after, hasMore := strings.Cut(remaining, `"$ref":"#/components/schemas/`)
		if !hasMore {
			break
		}
		name, _, _ := strings.Cut(after, `"`)
		_, ok := document.Components.Schemas[name]
		assert.True(t, ok, "expected the schema %s to exist", name)
		remaining = after
	}
	assert.AtLeast(t, 10, len(document.Components.Schemas), "schemas")
	// A required list of dead letters would make a client replay none where it means all.
	assert.Len(t, 0, document.Components.Schemas["ReplayAsked"].Required, "a replay to need nothing")
}
