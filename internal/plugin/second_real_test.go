//go:build real

package plugin_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/meter"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/sdk/go/plugintest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// TestRealSecondHost runs Culvert's guests on Node, as components that jco creates: each call that this host makes here
// with the stored examples of sources and transforms is repeated there, and the results and log lines must be equal.
// That host shares no code with ours, so it finds errors that our host and guests have in common.
func TestRealSecondHost(t *testing.T) {
	home := output(t, "../../testdata/peers/jco/fetch.sh")
	folder := t.TempDir()
	var guests []*recorder
	for _, g := range []struct {
		name     string
		build    string
		examples func(*testing.T, *recorder)
	}{
		{
			name:  "odata-source",
			build: "../../plugins/odata-source",
			examples: func(t *testing.T, r *recorder) {
				plugintest.RunSource(t, recordedSource{r}, "../../testdata/odata-source/*.txt")
			},
		},
		{name: "odata-sink", build: "../../plugins/odata-sink", examples: sinkExamples},
		{
			name:  "smt",
			build: "../../plugins/smt",
			examples: func(t *testing.T, r *recorder) {
				const transforms = "org.apache.kafka.connect.transforms."
				transformExamples(t, r,
					stage(transforms+"InsertField$Value", "static.field", "Source", "static.value", "northwind",
						"timestamp.field", "At"),
					stage(transforms+"ReplaceField$Value", "exclude", "Name", "renames", "Id:Number"),
					stage(transforms+"RegexRouter", "regex", "or(.*)", "replacement", "sap.$1"))
			},
		},
		{
			name:  "plugin-transform",
			build: "../../examples/plugin-transform",
			examples: func(t *testing.T, r *recorder) {
				transformExamples(t, r, stage("example.MaskText", "fields", "Name, Phone", "keep", "4"))
			},
		},
		{name: "rust-transform", examples: func(t *testing.T, r *recorder) { foreignExamples(t, r, "rust.") }},
		{name: "c-transform", examples: func(t *testing.T, r *recorder) { foreignExamples(t, r, "c.") }},
	} {
		path := filepath.Join(folder, g.name+".wasm")
		if g.build == "" {
			output(t, "../../testdata/guests/"+g.name+"/build.sh", path)
		} else if err := os.WriteFile(path, guesttest.Bytes(t, g.build), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(g.name, func(t *testing.T) {
			r := newRecorder(t, g.name, path, meter.DefaultBudget)
			r.describe(t)
			g.examples(t, r)
			guests = append(guests, r)
		})
	}
	if t.Failed() {
		return
	}
	file := filepath.Join(folder, "calls.json")
	text, err := json.Marshal(map[string]any{"guests": guests})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	require.NoError(t, err)
	node := exec.Command("node", "../../testdata/peers/jco/host.mjs", file)
	node.Env = append(os.Environ(), "JCO_HOME="+home)
	node.Stderr = os.Stderr
	results, err := node.Output()
	require.NoError(t, err, "host.mjs")
	var onNode map[string]hostResults
	require.NoError(t, json.Unmarshal(results, &onNode))
	for _, r := range guests {
		t.Run(r.Name+" on Node", func(t *testing.T) { r.compare(t, onNode[r.Name]) })
	}
}

// output runs a script and returns its output.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	require.NoError(t, err, name)
	return strings.TrimSpace(string(out))
}

// recorder calls a guest on our host and stores the calls and results in the form of testdata/peers/jco/host.mjs.
type recorder struct {
	Name  string         `json:"name"`
	Wasm  string         `json:"wasm"`
	Wit   string         `json:"wit"`
	World string         `json:"world"`
	Calls []recordedCall `json:"calls"`

	interfaces []string // that the guest exports
	guest      *abi.Guest
	own        hostResults
	enums      map[string][]string
	ticks      int
}

type recordedCall struct {
	Interface string `json:"interface"`
	Function  string `json:"function"`
	Arguments []any  `json:"arguments"`
}

// hostResults holds the results of a guest on one host.
type hostResults struct {
	Answers []map[string]any `json:"answers"`
	Log     [][]string       `json:"log"`
}

// unmetered is the budget of a guest without metering.
const unmetered = -1

// newRecorder instantiates a guest, metered like a plugin.
func newRecorder(t *testing.T, name, path string, budget int64) *recorder {
	t.Helper()
	module, err := os.ReadFile(path)
	require.NoError(t, err)
	binary, err := binary.Read(module)
	require.NoError(t, err)
	interfaces, err := binary.CheckContract()
	require.NoError(t, err)
	contract, err := os.ReadFile("../../wit/culvert.wit")
	require.NoError(t, err)
	r := &recorder{Name: name, Wasm: path, World: "tested", interfaces: interfaces, enums: enumsOf(string(contract))}
	r.Wit = string(contract) + "\nworld tested { import host; export " + strings.Join(interfaces, "; export ") + "; }\n"
	ctx := context.Background()
	runtime := wazero.NewRuntime(ctx)
	t.Cleanup(func() { runtime.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	provide(t, runtime, meter.Module, meter.Name, nil, []api.ValueType{api.ValueTypeI64},
		func(_ context.Context, _ api.Module, stack []uint64) {
			r.ticks++
			stack[0] = uint64(budget)
		})
	i32 := api.ValueTypeI32
	provide(t, runtime, wit.ImportModule(wit.InterfaceHost), "log", []api.ValueType{i32, i32, i32}, nil,
		func(_ context.Context, m api.Module, stack []uint64) {
			text, _ := m.Memory().Read(uint32(stack[1]), uint32(stack[2]))
			r.own.Log = append(r.own.Log, []string{r.enums["level"][uint32(stack[0])], string(text)})
		})
	if budget != unmetered {
		module, _, err = meter.Rewrite(context.Background(), module, meter.Options{Budget: max(budget, 1)})
		require.NoError(t, err)
	}
	instance, err := runtime.InstantiateWithConfig(ctx, module,
		wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	require.NoError(t, err)
	r.guest, err = abi.NewGuest(instance, 0)
	require.NoError(t, err)
	return r
}

// enumsOf returns the names of the contract's enum cases, which are only numbers in Go.
func enumsOf(contract string) map[string][]string {
	contract = regexp.MustCompile(`//.*`).ReplaceAllString(contract, "")
	cases := map[string][]string{}
	for _, m := range regexp.MustCompile(`enum ([a-z-]+) \{([^}]*)\}`).FindAllStringSubmatch(contract, -1) {
		cases[m[1]] = regexp.MustCompile(`[a-z0-9-]+`).FindAllString(m[2], -1)
	}
	return cases
}

// invoke calls a function and records the result.
func invoke[T any](r *recorder, iface, method string, args ...any) (result T, err error) {
	function := canon.Function(iface, method)
	var dst any = &result
	if _, ok := dst.(*struct{}); ok {
		dst = nil
	}
	call := recordedCall{Interface: iface, Function: function.Name, Arguments: []any{}}
	for _, a := range args {
		call.Arguments = append(call.Arguments, r.shape(reflect.ValueOf(a)))
	}
	r.Calls = append(r.Calls, call)
	export := r.guest.Func(function.Export())
	failure, err := r.guest.Invoke(context.Background(), export, function, dst, args...)
	answer := map[string]any{}
	switch {
	case err != nil:
		answer["trap"] = true
	case failure != nil:
		answer["fault"] = r.shape(reflect.ValueOf(*failure))
		err = failure
	case dst != nil:
		if value := r.shape(reflect.ValueOf(result)); value != nil { // Node's undefined is not in its JSON
			answer["ok"] = value
		}
	}
	r.own.Answers = append(r.own.Answers, answer)
	return result, err
}

// shape converts a value of the contract to the form that jco has in JavaScript.
func (r *recorder) shape(v reflect.Value) any {
	t := v.Type()
	if _, ok := reflect.Zero(t).Interface().(interface{ Cases() int }); ok && t.Kind() != reflect.Struct {
		return r.enums[canon.Kebab(t.Name())][v.Uint()]
	}
	switch t.Kind() {
	case reflect.Int64, reflect.Uint64:
		return map[string]any{"$int": fmt.Sprint(v.Interface())}
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return r.shape(v.Elem())
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.Uint8:
			return map[string]any{"$bytes": hex.EncodeToString(v.Bytes())}
		case reflect.Uint16:
			return map[string]any{"$u16": append([]uint16{}, v.Interface().([]uint16)...)}
		case reflect.Uint32:
			return map[string]any{"$u32": append([]uint32{}, v.Interface().([]uint32)...)}
		}
		list := []any{}
		for i := range v.Len() {
			list = append(list, r.shape(v.Index(i)))
		}
		return list
	case reflect.Struct:
		return r.structure(v)
	}
	return v.Interface()
}

func (r *recorder) structure(v reflect.Value) any {
	t := v.Type()
	isVariant := t.NumField() > 0 && t.Field(0).Type == reflect.TypeFor[wit.Variant]()
	fields := map[string]any{}
	for i := range t.NumField() {
		field := t.Field(i)
		value := v.Field(i)
		if field.Type == reflect.TypeFor[wit.Variant]() || (value.Kind() == reflect.Pointer && value.IsNil()) {
			continue
		}
		name := canon.Kebab(field.Name)
		switch {
		case isVariant && field.Type == reflect.TypeFor[*struct{}]():
			return map[string]any{"tag": name}
		case isVariant:
			return map[string]any{"tag": name, "val": r.shape(value)}
		}
		words := strings.Split(name, "-")
		for n := range words[1:] {
			words[n+1] = strings.ToUpper(words[n+1][:1]) + words[n+1][1:]
		}
		fields[strings.Join(words, "")] = r.shape(value)
	}
	return fields
}

// compare compares the results of the two hosts.
func (r *recorder) compare(t *testing.T, onNode hostResults) {
	text, err := json.Marshal(r.own)
	require.NoError(t, err)
	var own hostResults
	require.NoError(t, json.Unmarshal(text, &own))
	require.True(t, len(own.Answers) >= 5 && len(onNode.Answers) == len(own.Answers),
		"%d results here, %d on Node", len(own.Answers), len(onNode.Answers))
	functions := map[string]int{}
	differences := 0
	for n := range own.Answers {
		functions[r.Calls[n].Interface+"."+r.Calls[n].Function]++
		if diff := cmp.Diff(own.Answers[n], onNode.Answers[n]); diff != "" {
			differences++
			if differences < 5 {
				t.Errorf("call %d, %s: our host (-), Node (+):\n%.3000s", n, r.Calls[n].Function, diff)
			}
		}
	}
	diff := cmp.Diff(len(own.Log), len(onNode.Log))
	assert.True(t, diff == "" && (len(own.Log) == 0 || cmp.Diff(own.Log, onNode.Log) == ""),
		"log lines: our host %v, Node %v", own.Log, onNode.Log)
	for _, i := range r.interfaces {
		for _, f := range canon.Functions(i) {
			assert.True(t, functions[i+"."+f.Name] != 0, "%s.%s was not called", i, f.Name)
		}
	}
	t.Logf("%d calls, %d with different results, %d log lines: %v", len(own.Answers), differences, len(own.Log),
		functions)
}

// describe calls describe twice, and validates each component without settings.
func (r *recorder) describe(t *testing.T) {
	var description wit.Description
	for range 2 {
		var err error
		description, err = invoke[wit.Description](r, wit.InterfacePlugin, "Describe")
		require.NoError(t, err)
	}
	for _, component := range description.Components {
		var failure *wit.Error
		_, err := r.validate(component.Name, nil, false, nil, nil)
		assert.True(t, err == nil || (errors.As(err, &failure) && failure.Kind == wit.ErrorConfig),
			"validate %s: %v", component.Name, err)
	}
	_, err := r.validate("none", []wit.Setting{{Name: "Größe", Value: ""}}, true, []byte{0xff},
		[]wit.Response{{Tag: "t", Status: 404, Headers: []wit.Header{{Name: "a", Value: "b"}}, ReceivedAt: -1}})
	assert.True(t, err != nil, "expected a fault for a missing component")
	if slices.Contains(r.interfaces, wit.InterfaceTools) {
		r.commands(t)
	}
	// A call without arguments returns a fault, whose text must be equal on both hosts.
	if slices.Contains(r.interfaces, wit.InterfaceNotifications) {
		_, _ = invoke[wit.CallResult](r, wit.InterfaceNotifications, "Subscribe", []byte(nil), uint32(0), "/a/b",
			[]byte(nil), []wit.Response(nil))
		_, _ = invoke[[]wit.Trigger](r, wit.InterfaceNotifications, "HandleNotification", []byte(nil),
			wit.Notification{Method: "POST", Target: "/a/b", Body: []byte("x")})
	}
	if slices.Contains(r.interfaces, wit.InterfaceProgress) {
		_, _ = invoke[*wit.LoadProgress](r, wit.InterfaceProgress, "Progress", []byte(nil), uint32(0),
			[]wit.OffsetEntry(nil))
		_, _ = invoke[wit.KeysUse](r, wit.InterfaceProgress, "Keys", []byte(nil), uint32(0), []wit.OffsetEntry(nil))
		_, _ = invoke[*[]wit.OffsetEntry](r, wit.InterfaceProgress, "Compared", []byte(nil), uint32(0),
			[]wit.OffsetEntry(nil), [][]byte(nil))
	}
	if slices.Contains(r.interfaces, wit.InterfaceRetirement) {
		_, _ = invoke[wit.CallResult](r, wit.InterfaceRetirement, "Retire", description.Components[0].Name,
			[]wit.Setting(nil), []string(nil), []byte(nil), []wit.Response(nil))
	}
}

func (r *recorder) validate(component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	return invoke[wit.ValidateResult](r, wit.InterfacePlugin, "Validate", component, settings, online, state, answers)
}

// commands lists and runs the commands of the plugin.
func (r *recorder) commands(t *testing.T) {
	commands, err := invoke[[]wit.Command](r, wit.InterfaceTools, "Commands")
	assert.True(t, err == nil && len(commands) != 0, "commands: %v, %v", commands, err)
	for _, c := range commands {
		for _, options := range [][]wit.Setting{nil, {{Name: "s", Value: "/V2/Northwind"}}} {
			_, _ = invoke[wit.CommandResult](r, wit.InterfaceTools, "Run", c.Name, options, destination(), []byte(nil),
				[]wit.Response(nil))
		}
	}
}

// recordedSource is a guest's source for plugintest, with notifications.
type recordedSource struct{ r *recorder }

func (s recordedSource) HandleNotification(context []byte, n wit.Notification) ([]wit.Trigger, error) {
	return invoke[[]wit.Trigger](s.r, wit.InterfaceNotifications, "HandleNotification", context, n)
}

func (s recordedSource) Subscribe(context []byte, feed uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	return invoke[wit.CallResult](s.r, wit.InterfaceNotifications, "Subscribe", context, feed, address, state, answers)
}

func (s recordedSource) Plan(component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult, error) {
	return invoke[wit.PlanResult](s.r, wit.InterfaceSource, "Plan", component, settings, maxTasks)
}

func (s recordedSource) Open(component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	if len(answers) == 0 {
		for _, tasks := range []uint32{1, 3} {
			_, _ = s.Plan(component, settings, tasks)
		}
	}
	return invoke[wit.SourceOpenResult](s.r, wit.InterfaceSource, "Open", component, settings, state, answers)
}

func (s recordedSource) Next(context []byte, feed uint32, offset []wit.OffsetEntry, cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	_ = s.CheckOffset(nil, offset)
	return invoke[wit.NextAction](s.r, wit.InterfaceSource, "Next", context, feed, offset, cause, now)
}

func (s recordedSource) Begin(context []byte, feed uint32, position *[]wit.OffsetEntry,
	response wit.Response) (uint32, error) {
	// An abandoned page has no effect on later pages.
	if page, err := invoke[uint32](s.r, wit.InterfaceSource, "Begin", context, feed, position, response); err == nil {
		s.Abandon(page)
	}
	return invoke[uint32](s.r, wit.InterfaceSource, "Begin", context, feed, position, response)
}

func (s recordedSource) Decode(page uint32, tag string, status uint16, piece []byte,
	last bool) (wit.DecodeResult, error) {
	return invoke[wit.DecodeResult](s.r, wit.InterfaceSource, "Decode", page, tag, status, piece, last)
}

func (s recordedSource) Abandon(page uint32) {
	_, _ = invoke[struct{}](s.r, wit.InterfaceSource, "Abandon", page)
}

func (s recordedSource) CheckOffset(partition, offset []wit.OffsetEntry) error {
	_, err := invoke[struct{}](s.r, wit.InterfaceSource, "CheckOffset", partition, offset)
	return err
}

// recordedTransform is a guest's transform for plugintest.
type recordedTransform struct{ r *recorder }

func (r recordedTransform) Prepare(chain []wit.Stage) ([]byte, error) {
	return invoke[[]byte](r.r, wit.InterfaceTransform, "Prepare", chain)
}

func (r recordedTransform) Apply(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.ApplyResult, error) {
	_, _ = r.Test(context, schemas, topics, rows, data)
	return invoke[wit.ApplyResult](r.r, wit.InterfaceTransform, "Apply", context, schemas, topics, rows, data)
}

func (r recordedTransform) Test(context []byte, schemas []wit.Schema, topics []string, rows []wit.Row,
	data []byte) (wit.TestResult, error) {
	return invoke[wit.TestResult](r.r, wit.InterfaceTransform, "Test", context, schemas, topics, rows, data)
}

// stage returns a stage with settings, given as names and values in turn.
func stage(component string, settings ...string) wit.Stage {
	s := wit.Stage{Component: component}
	for i := 0; i < len(settings); i += 2 {
		s.Settings = append(s.Settings, wit.Setting{Name: settings[i], Value: settings[i+1]})
	}
	return s
}

// transformExamples transforms records with and without a schema, a tombstone, and a text.
func transformExamples(t *testing.T, r *recorder, stages ...wit.Stage) {
	schema := []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "Id", Node: 1}, {Name: "Name", Node: 2}}},
		{Kind: wit.Int32}, {Kind: wit.String, Optional: true}}
	key := plugintest.Value{Data: "k"}
	plugintest.RunTransform(t, recordedTransform{r}, stages,
		plugintest.Record{Topic: "orders", Timestamp: 1709184496789,
			Value: plugintest.Value{Schema: schema, Data: connectdata.Struct{int32(1), "Größe & Söhne"}}},
		plugintest.Record{Topic: "orders", Timestamp: 1, Value: plugintest.Value{Data: connectdata.Map{
			{Key: "Id", Value: int64(2)},
			{Key: "Name", Value: nil},
			{Key: "Freight", Value: connectdata.List{int64(1), 2.5, connectdata.Map{{Key: "x", Value: true}}}},
		}}},
		plugintest.Record{Topic: "others", Timestamp: 1, Key: key,
			Value: plugintest.Value{Data: connectdata.Map{{Key: "Name", Value: "gone"}}}},
		plugintest.Record{Topic: "orders", Key: key},
		plugintest.Record{Topic: "orders", Timestamp: 2, Value: plugintest.Value{Data: "a text is no struct"}})
}

// destination returns the address of the demo service.
func destination() []wit.Setting {
	return []wit.Setting{
		{Name: "sap.odata.host.protocol", Value: "http"},
		{Name: "sap.odata.host.address", Value: "127.0.0.1"},
		{Name: "sap.odata.host.port", Value: "8080"},
	}
}

// sinkExamples writes to the demo service: rows with and without a schema, a row that the service rejects, and a row
// without a key.
func sinkExamples(t *testing.T, r *recorder) {
	s := odatatest.New(odatatest.Options{})
	const component = "org.init.ohja.kafka.connect.odatav2.sink.OData2SinkConnector"
	settings := destination()
	settings = append(settings, wit.Setting{Name: "sap.odata.enable.batch", Value: "0"})
	for name, value := range map[string]string{"service": "/sap/opu/odata/sap/NORTHWIND_SRV",
		"entityset": "Order_DetailCopies", "topic": "Order_DetailCopies"} {
		settings = append(settings, wit.Setting{Name: "sap.odata#00." + name, Value: value})
	}
	open := func(previous []byte) []byte {
		var answers []wit.Response
		for {
			opened, err := invoke[wit.SinkOpenResult](r, wit.InterfaceSink, "Open", component, settings, previous,
				answers)
			require.NoError(t, err)
			if opened.Ready != nil {
				return opened.Ready.Context
			}
			answers = nil
			for _, q := range opened.Pending.Requests {
				answers = append(answers, exchange(s, &q))
			}
			previous = opened.Pending.State
		}
	}
	openContext := open(nil)
	schema := wit.Schema{ID: 3, Nodes: []wit.SchemaNode{
		{Kind: wit.Struct, Fields: []wit.Field{
			{Name: "OrderID", Node: 1},
			{Name: "ProductID", Node: 2},
			{Name: "UnitPrice", Node: 3},
			{Name: "Quantity", Node: 4},
			{Name: "Discount", Node: 5},
		}},
		{Kind: wit.Int32},
		{Kind: wit.Int32},
		{Kind: wit.Bytes, Name: wit.Ptr(wit.NameDecimal),
			Parameters: []wit.Setting{{Name: wit.ParameterScale, Value: "4"}}},
		{Kind: wit.Int16},
		{Kind: wit.Float32},
	}}
	var data []byte
	var rows []wit.Row
	var origins []wit.RecordID
	for i := range int32(20) {
		start := uint32(len(data))
		row := wit.Row{RowIndex: uint32(i), Partition: 0, Offset: int64(i), Timestamp: -1}
		var err error
		switch i % 4 {
		case 2:
			data, err = connectdata.AppendSchemaless(data, connectdata.Map{
				{Key: "OrderID", Value: int64(2)},
				{Key: "ProductID", Value: int64(i)},
				{Key: "UnitPrice", Value: "1.5"},
				{Key: "Quantity", Value: int64(1)},
				{Key: "Discount", Value: 0.25},
			})
			row.Value = wit.ValueSlice{Encoding: wit.Schemaless, Start: start, Size: uint32(len(data)) - start}
		case 3:
			data, err = connectdata.AppendSchemaless(data, connectdata.Map{{Key: "Größe", Value: strconv.Itoa(int(i))}})
			row.Value = wit.ValueSlice{Encoding: wit.Schemaless, Start: start, Size: uint32(len(data)) - start}
		default:
			data, err = connectdata.Append(data, schema.Nodes, 0, connectdata.Struct{1 + i, i / 2,
				big.NewInt(123400).Bytes(), int16(5), float32(0.05)})
			row.Value = wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
				Size: uint32(len(data)) - start}
		}
		require.NoError(t, err)
		rows = append(rows, row)
		origins = append(origins, wit.RecordID{Offset: int64(i)})
	}
	encode := func() (wit.EncodeResult, error) {
		return invoke[wit.EncodeResult](r, wit.InterfaceSink, "Encode", openContext, []wit.Schema{schema},
			[]string{"Order_DetailCopies"}, rows, data, origins, []string{"Order_DetailCopies"}, []wit.Hint(nil))
	}
	_, err := encode()
	var stale *wit.Error // the service does not declare the field Größe
	require.True(t, errors.As(err, &stale) && stale.Kind == wit.ErrorStale, "expected a stale error, found %v", err)
	openContext = open([]byte(*stale.Detail))
	out, err := encode()
	require.True(t, err == nil && len(out.Ready) >= 10, "%d deliveries, %v", len(out.Ready), err)
	for _, d := range out.Ready {
		for _, response := range []wit.Response{exchange(s, &d.Request), exchange(s, &d.Request), {},
			{Status: 500, Body: []byte("<html>")}} {
			_, err := invoke[wit.ResponseResult](r, wit.InterfaceSink, "HandleResponse", openContext, d.State,
				d.Rows, response)
			require.NoError(t, err)
		}
	}
}

// exchange returns the response of a service.
func exchange(service http.Handler, request *wit.Request) wit.Response {
	sent := httptest.NewRequest(request.Method, "http://127.0.0.1:8080"+request.Target, bytes.NewReader(request.Body))
	for _, h := range request.Headers {
		sent.Header.Set(h.Name, h.Value)
	}
	answer := httptest.NewRecorder()
	service.ServeHTTP(answer, sent)
	return wit.Response{Tag: request.Tag, Status: uint16(answer.Code), Target: request.Target,
		Body: answer.Body.Bytes()}
}

// foreignExamples calls the guests in other languages.
func foreignExamples(t *testing.T, r *recorder, prefix string) {
	transform := recordedTransform{r}
	schema := wit.Schema{ID: 7, Nodes: []wit.SchemaNode{{Kind: wit.Struct, Fields: []wit.Field{{Name: "Id", Node: 1},
		{Name: "Name", Node: 2}}}, {Kind: wit.Int32}, {Kind: wit.String, Optional: true}}}
	var data []byte
	var rows []wit.Row
	for i := range int32(28) {
		start := uint32(len(data))
		var name any = strings.Repeat("ü", int(i))
		if i%5 == 0 {
			name = nil
		}
		var err error
		data, err = connectdata.Append(data, schema.Nodes, 0, connectdata.Struct{i, name})
		require.NoError(t, err)
		rows = append(rows, wit.Row{RowIndex: uint32(i), Topic: uint32(i % 2), Partition: -1, Offset: int64(i) << 40,
			Timestamp: -1, Value: wit.ValueSlice{Encoding: wit.WithSchema, Schema: schema.ID, Start: start,
				Size: uint32(len(data)) - start}})
	}
	rows[11].Value.Size-- // no longer a value of the schema
	schemas := []wit.Schema{schema}
	for _, stages := range [][]wit.Stage{
		nil,
		{stage(prefix+"Append", "field", "Name", "text", "€")},
		{stage(prefix + "Echo")},
		{stage(prefix + "Examples")},
		{stage(prefix + "Upper")},
	} {
		context, err := transform.Prepare(stages)
		assert.True(t, (err == nil) == (len(stages) == 1), "%d stages: %v", len(stages), err)
		if err != nil {
			continue
		}
		_, err = transform.Apply(context, schemas, []string{"lower", "UPPER"}, rows, data)
		assert.NoError(t, err)
		schemas = nil
	}
	out, err := transform.Apply([]byte("\xff"), nil, nil, nil, nil)
	assert.True(t, err != nil, "a context that is not UTF-8: %+v", out)
}

// provide adds a function that guests can import.
func provide(t testing.TB, runtime wazero.Runtime, module, name string, params, results []api.ValueType,
	f api.GoModuleFunc) {
	t.Helper()
	_, err := runtime.NewHostModuleBuilder(module).NewFunctionBuilder().WithGoModuleFunction(f, params, results).
		Export(name).Instantiate(t.Context())
	require.NoError(t, err)
}
