package rest

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/logging"
)

// operation is what an OpenAPI document says of a route, beside its path and what it is about.
type operation struct {
	// query are its parameters, NAME or NAME=boolean.
	query []string
	// takes and gives are values of the types that are sent and answered, nil for none.
	takes, gives any
	// status is that of success; refuses are others that clients have to expect.
	status  int
	refuses []int
	// media is that of the answer where it is not JSON.
	media string
}

type (
	configuration map[string]string
	offsetsBody   struct {
		Offsets []partitionBody `json:"offsets"`
	}
	partitionBody struct {
		Partition map[string]any `json:"partition"`
		Offset    map[string]any `json:"offset"`
	}
	creationBody struct {
		Name         string        `json:"name"`
		Config       configuration `json:"config"`
		InitialState string        `json:"initial_state,omitempty"`
	}
	levelBody struct {
		Level string `json:"level"`
	}
	messageBody struct {
		Message string `json:"message"`
	}
	topicsBody map[string]struct {
		Topics []string `json:"topics"`
	}
)

// operations are those of all routes, by method and path.
var operations = map[string]operation{
	"GET /":           {gives: Root{}},
	"GET /health":     {gives: health{}, refuses: []int{500, 503}},
	"GET /connectors": {query: []string{"expand"}, gives: []string{}, refuses: []int{409}},
	"POST /connectors": {takes: creationBody{}, gives: connect.Info{}, status: http.StatusCreated,
		refuses: []int{400, 409, 413, 500}},
	"GET /connectors/{name}":        {gives: connect.Info{}, refuses: []int{404, 409}},
	"DELETE /connectors/{name}":     {status: http.StatusNoContent, refuses: []int{404, 409}},
	"GET /connectors/{name}/config": {gives: configuration{}, refuses: []int{404, 409}},
	"PUT /connectors/{name}/config": {takes: configuration{}, gives: connect.Info{}, refuses: []int{201,
		400, 409, 413, 500}},
	"PATCH /connectors/{name}/config": {takes: configuration{}, gives: connect.Info{}, refuses: []int{400,
		404, 409, 413, 500}},
	"GET /connectors/{name}/status":              {gives: connect.Status{}, refuses: []int{404, 409}},
	"GET /connectors/{name}/tasks":               {gives: []connect.TaskInfo{}, refuses: []int{404, 409}},
	"GET /connectors/{name}/tasks/{task}/status": {gives: connect.TaskStatus{}, refuses: []int{404, 409}},
	"PUT /connectors/{name}/pause":               {status: http.StatusAccepted, refuses: []int{404}},
	"PUT /connectors/{name}/resume":              {status: http.StatusAccepted, refuses: []int{404}},
	"PUT /connectors/{name}/stop":                {status: http.StatusNoContent, refuses: []int{404}},
	"POST /connectors/{name}/restart": {query: []string{"includeTasks=boolean", "onlyFailed=boolean"},
		gives: connect.Status{}, status: http.StatusAccepted, refuses: []int{204, 404}},
	"POST /connectors/{name}/tasks/{task}/restart": {status: http.StatusNoContent, refuses: []int{404, 409}},
	"GET /connectors/{name}/offsets":               {gives: offsetsBody{}, refuses: []int{404}},
	"PATCH /connectors/{name}/offsets": {takes: offsetsBody{}, gives: messageBody{}, refuses: []int{400,
		404, 500}},
	"DELETE /connectors/{name}/offsets":   {gives: messageBody{}, refuses: []int{400, 404}},
	"GET /connectors/{name}/topics":       {gives: topicsBody{}, refuses: []int{403, 404, 409}},
	"PUT /connectors/{name}/topics/reset": {status: http.StatusAccepted, refuses: []int{403, 404}},
	"GET /admin/loggers":                  {gives: map[string]logging.Level{}},
	"GET /admin/loggers/{name}":           {gives: logging.Level{}, refuses: []int{404}},
	"PUT /admin/loggers/{name}": {query: []string{"scope"}, takes: levelBody{}, gives: []string{},
		refuses: []int{204, 400, 404}},
	"GET /culvert/reload":                  {gives: Reload{}, refuses: []int{404, 409}},
	"POST /culvert/reload":                 {status: http.StatusAccepted, refuses: []int{404, 409}},
	"GET /culvert/diff":                    {gives: []Change{}, refuses: []int{404, 405, 409, 500}},
	"GET /culvert/plugins":                 {gives: []Module{}},
	"PUT /culvert/plugins/{name}/rollback": {status: http.StatusNoContent, refuses: []int{404, 405, 409}},
	"PUT /culvert/plugins/{name}/swap": {takes: choice{}, status: http.StatusNoContent, refuses: []int{404,
		405, 409}},
	"GET /culvert/lockouts":                 {gives: Lockouts{}, refuses: []int{409}},
	"PUT /culvert/lockouts/resume":          {gives: resumed{}, refuses: []int{405, 409}},
	"GET /culvert/connectors/{name}":        {gives: Motion{}, refuses: []int{404, 409}},
	"PUT /culvert/connectors/{name}/retire": {gives: ended{}, refuses: []int{400, 404, 405, 409, 500}},
	"GET /culvert/connectors/{name}/deadletters": {query: []string{"last", "error"}, gives: Letters{},
		refuses: []int{400, 404, 500}},
	"POST /culvert/connectors/{name}/feeds/{feed}/snapshot": {gives: snapshotAsked{}, status: http.StatusAccepted,
		refuses: []int{404, 405, 409}},
	"POST /culvert/connectors/{name}/deadletters/replay": {takes: replayAsked{}, gives: replayed{},
		refuses: []int{404, 405, 409, 500}},
	"GET /culvert/openapi.json": {gives: map[string]any{}},
	"GET /connector-plugins":    {query: []string{"connectorsOnly=boolean"}, gives: []connect.Plugin{}},
	"GET /connector-plugins/{name}/config": {query: []string{"version"}, gives: []check.Definition{},
		refuses: []int{404}},
	"PUT /connector-plugins/{name}/config/validate": {query: []string{"logon"}, takes: configuration{},
		gives: check.Validation{}, refuses: []int{400, 404, 500}},
	"GET /metrics": {media: "text/plain"},
}

// document is the OpenAPI document of all routes, of which it is one itself: so it is set when they are.
var document func() map[string]any

func init() { document = sync.OnceValue(newDocument) }

func newDocument() map[string]any {
	paths, schemas := map[string]map[string]any{}, map[string]any{}
	for _, r := range Routes() {
		if paths[r.Path] == nil {
			paths[r.Path] = map[string]any{}
		}
		paths[r.Path][strings.ToLower(r.Method)] = operations[r.Method+" "+r.Path].document(r, schemas)
	}
	schemaOf(reflect.TypeFor[failure](), schemas)
	return map[string]any{"openapi": "3.1.0",
		"info": map[string]any{"title": "Culvert", "version": "1",
			"description": "Kafka Connect's REST API, and below /culvert/ what is beyond it."},
		"paths": paths, "components": map[string]any{"schemas": schemas,
			"securitySchemes": map[string]any{"basic": map[string]any{"type": "http", "scheme": "basic"}}}}
}

func (o operation) document(r Route, schemas map[string]any) map[string]any {
	tag := "Kafka Connect"
	if strings.HasPrefix(r.Path, "/culvert/") || r.Path == "/metrics" {
		tag = "Culvert"
	}
	parameters := []any{}
	for _, segment := range strings.Split(r.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			parameters = append(parameters, parameter(strings.TrimSuffix(name, "}"), "path", "string"))
		}
	}
	for _, name := range o.query {
		name, kind, given := strings.Cut(name, "=")
		if !given {
			kind = "string"
		}
		parameters = append(parameters, parameter(name, "query", kind))
	}
	success := map[string]any{"description": r.About}
	switch {
	case o.media != "":
		success["content"] = map[string]any{o.media: map[string]any{"schema": map[string]any{"type": "string"}}}
	case o.gives != nil:
		success["content"] = inJSON(schemaOf(reflect.TypeOf(o.gives), schemas))
	}
	status := o.status
	if status == 0 {
		status = http.StatusOK
	}
	answers := map[string]any{strconv.Itoa(status): success}
	for _, code := range o.refuses {
		other := map[string]any{"description": http.StatusText(code)}
		if code >= 400 {
			other["content"] = inJSON(schemaOf(reflect.TypeFor[failure](), schemas))
		}
		answers[strconv.Itoa(code)] = other
	}
	d := map[string]any{"operationId": operationID(r), "summary": r.About, "tags": []string{tag},
		"parameters": parameters, "responses": answers}
	if o.takes != nil {
		d["requestBody"] = map[string]any{"required": true, "content": inJSON(schemaOf(reflect.TypeOf(o.takes),
			schemas))}
	}
	return d
}

// operationID is a name that a generator of clients can take.
func operationID(r Route) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(r.Method))
	for _, segment := range strings.FieldsFunc(r.Path, func(c rune) bool { return strings.ContainsRune("/{}-.", c) }) {
		b.WriteString(strings.ToUpper(segment[:1]) + segment[1:])
	}
	return b.String()
}

func parameter(name, in, kind string) map[string]any {
	return map[string]any{"name": name, "in": in, "required": in == "path", "schema": map[string]any{"type": kind}}
}

func inJSON(schema map[string]any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}

// schemaOf is the schema of a type's JSON; that of a structure goes to schemas by its name.
func schemaOf(t reflect.Type, schemas map[string]any) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{schemaOf(t.Elem(), schemas), map[string]any{"type": "null"}}}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), schemas)}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return map[string]any{"type": "string", "format": "date-time"}
		}
		if t.Name() == "" {
			return object(t, schemas)
		}
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if schemas[name] == nil {
			schemas[name] = map[string]any{} // of one that holds itself
			schemas[name] = object(t, schemas)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	return map[string]any{}
}

func object(t reflect.Type, schemas map[string]any) map[string]any {
	properties, required := map[string]any{}, []string{}
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		properties[name] = schemaOf(field.Type, schemas)
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func (x *exchange) openapi() { x.answer(http.StatusOK, document()) }
