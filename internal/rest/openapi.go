package rest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
)

// openAPIDocument returns the OpenAPI document of all routes. It is set by init because a route refers to it.
var openAPIDocument func() map[string]any

func init() { openAPIDocument = sync.OnceValue(newOpenAPIDocument) }

func newOpenAPIDocument() map[string]any {
	paths := map[string]map[string]any{}
	schemas := map[string]any{}
	for i := range routes {
		r := &routes[i]
		if r.serve == nil {
			continue
		}
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][strings.ToLower(r.method)] = r.document(schemas)
	}
	schemaOf(reflect.TypeFor[failure](), schemas)
	return map[string]any{"openapi": "3.1.0",
		"info": map[string]any{"title": "Culvert", "version": "1",
			"description": "Kafka Connect's REST API, and Culvert's own routes below /culvert/."},
		"paths": paths, "components": map[string]any{"schemas": schemas,
			"securitySchemes": map[string]any{"basic": map[string]any{"type": "http", "scheme": "basic"}}}}
}

func (r *route) document(schemas map[string]any) map[string]any {
	tag := "Kafka Connect"
	operation := &r.operation
	if r.isCulvertRoute() || r.path == "/metrics" {
		tag = "Culvert"
	}
	parameters := []any{}
	for _, segment := range strings.Split(r.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			parameters = append(parameters, parameter(strings.TrimSuffix(name, "}"), "path", "string"))
		}
	}
	for _, name := range operation.query {
		name, kind, hasKind := strings.Cut(name, "=")
		if !hasKind {
			kind = "string"
		}
		parameters = append(parameters, parameter(name, "query", kind))
	}
	success := map[string]any{"description": r.summary}
	switch {
	case operation.mediaType != "":
		schema := map[string]any{"type": "string"}
		success["content"] = map[string]any{operation.mediaType: map[string]any{"schema": schema}}
	case operation.responseBody != nil:
		content := inJSON(schemaOf(reflect.TypeOf(operation.responseBody), schemas))
		if operation.requestBody == nil { // otherwise only the request may be text
			content = operation.addTextForm(content)
		}
		success["content"] = content
	}
	answers := map[string]any{strconv.Itoa(cmp.Or(operation.status, http.StatusOK)): success}
	for _, code := range slices.Concat(operation.otherStatuses, targetStatuses[r.target]) {
		other := map[string]any{"description": http.StatusText(code)}
		if code >= 400 {
			other["content"] = inJSON(schemaOf(reflect.TypeFor[failure](), schemas))
		}
		answers[strconv.Itoa(code)] = other
	}
	document := map[string]any{"operationId": operationID(r), "summary": r.summary, "tags": []string{tag},
		"parameters": parameters, "responses": answers}
	if operation.requestBody != nil {
		document["requestBody"] = map[string]any{"required": true,
			"content": operation.addTextForm(inJSON(schemaOf(reflect.TypeOf(operation.requestBody), schemas)))}
	}
	return document
}

// addTextForm adds properties text to JSON content if the route allows it.
func (o *operation) addTextForm(content map[string]any) map[string]any {
	if o.allowsText {
		content[propertiesType] = map[string]any{"schema": map[string]any{"type": "string"}}
	}
	return content
}

func operationID(r *route) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(r.method))
	for _, segment := range strings.FieldsFunc(r.path, func(c rune) bool { return strings.ContainsRune("/{}-.", c) }) {
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

// schemaNames has the names of types in the document that differ from Go's: clients are generated from it.
var schemaNames = map[reflect.Type]string{reflect.TypeFor[connect.Metrics](): "Motion",
	reflect.TypeFor[connect.TaskMetrics](): "TaskMotion", reflect.TypeFor[connect.FeedProgress](): "FeedMotion",
	reflect.TypeFor[ConnectorList](): "Listing", reflect.TypeFor[ConnectorSummary](): "Listed",
	reflect.TypeFor[DeadLetterList](): "Letters", reflect.TypeFor[DeadLetter](): "Letter",
	reflect.TypeFor[DeadLetterCause](): "LetterCause", reflect.TypeFor[DeadLetterSource](): "LetterFrom",
	reflect.TypeFor[ReplayResult](): "Replayed", reflect.TypeFor[ReloadedConnector](): "Reloaded",
	reflect.TypeFor[resumeResult](): "Resumed", reflect.TypeFor[retireResult](): "Ended",
	reflect.TypeFor[DiffRequest](): "DiffAsked", reflect.TypeFor[SampleRequest](): "SampleAsked",
	reflect.TypeFor[ToolRequest](): "ToolAsked", reflect.TypeFor[ReplayRequest](): "ReplayAsked",
	reflect.TypeFor[chainRequest](): "ChainAsked", reflect.TypeFor[snapshotResult](): "SnapshotAsked",
	reflect.TypeFor[groupview.Member](): "GroupMember", reflect.TypeFor[groupview.Pin](): "GroupPin",
	reflect.TypeFor[groupview.Plugin](): "GroupPlugin"}

func schemaOf(t reflect.Type, schemas map[string]any) map[string]any {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case reflect.TypeFor[ConfigRequest]():
		t = reflect.TypeFor[configuration]()
	}
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
		name := cmp.Or(schemaNames[t], strings.ToUpper(t.Name()[:1])+t.Name()[1:])
		if schemas[name] == nil {
			schemas[name] = map[string]any{} // ends the recursion for a type that contains itself
			schemas[name] = object(t, schemas)
		}
		return map[string]any{"$ref": "#/components/schemas/" + name}
	}
	return map[string]any{}
}

func object(t reflect.Type, schemas map[string]any) map[string]any {
	properties := map[string]any{}
	required := []string{}
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" || properties[name] != nil {
			continue
		}
		properties[name] = schemaOf(field.Type, schemas)
		// A field of an embedded pointer is missing if the pointer is nil.
		isAlwaysSet := len(field.Index) == 1 || t.Field(field.Index[0]).Type.Kind() != reflect.Pointer
		if isAlwaysSet && !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func (req *request) openapi() { req.answer(http.StatusOK, openAPIDocument()) }
