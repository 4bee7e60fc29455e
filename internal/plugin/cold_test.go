package plugin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/connectdata"
)

// equal returns a function that compares the result of a call with want; an error fails the test.
func equal[T any](t *testing.T, function string, want T) func(T, error) {
	t.Helper()
	return func(got T, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", function, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", function, d)
		}
	}
}

func assertFault(t *testing.T, err error, kind wit.ErrorKind, message string) {
	t.Helper()
	var failure *wit.Error
	assert.True(t, errors.As(err, &failure) && failure.Kind == kind && failure.Message == message,
		"expected the fault %s %q, found %v", kind, message, err)
}

func TestPluginAndTools(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, _ *record.Registry) {
		description, err := i.Describe(ctx)
		assert.True(t, err == nil && description.Name == "all" && len(description.Components) == 17 &&
			len(description.Components[0].Settings[0].Rules) == 3 &&
			*description.Components[0].Settings[0].Rules[0].AtLeast == -5 &&
			description.Components[1].Prefixes[0] == "all.", "describe: %v %+v", err, description)
		settings := []wit.Setting{{Name: "a", Value: "1"}}
		equal(t, "validate", wit.ValidateResult{Pending: &wit.RequestBatch{State: []byte("asked"),
			Requests: []wit.Request{{Tag: "t", Method: "GET", Target: "/x", Repeatable: true,
				Headers: []wit.Header{{Name: "a", Value: "b"}}, FirstByteTimeoutMs: wit.Ptr(uint32(7))}}}})(
			i.Validate(ctx, "c", settings, true, nil, nil))
		answers := []wit.Response{{Tag: "t", Status: 200, Headers: []wit.Header{{Name: "h", Value: "\xffnot UTF-8"}},
			Body: []byte("b"), ReceivedAt: -1}}
		equal(t, "validate", wit.ValidateResult{Done: &[]wit.ConfigValue{{Key: wit.ConfigKey{Name: "a"},
			Value: wit.Ptr("1"), Errors: []string{"asked"}, Visible: true}}})(
			i.Validate(ctx, "c", settings, true, []byte("asked"), answers))
		_, err = i.Validate(ctx, "unknown", nil, false, nil, nil)
		assertFault(t, err, wit.ErrorConfig, "unknown component")
		equal(t, "commands", []wit.Command{{Name: "echo", Usage: "echo", Options: []wit.ConfigKey{{Name: "text"}}}})(
			i.Commands(ctx))
		equal(t, "run", wit.CommandResult{Document: wit.Ptr(`"echo größer"`)})(i.Run(ctx, "echo",
			[]wit.Setting{{Name: "text", Value: "größer"}}, nil, nil, nil))
		equal(t, "handle-notification", []wit.Trigger{{Feed: 1, Token: "POST", Ident: "x", AnswerWhenStored: true}})(
			i.HandleNotification(ctx, nil, wit.Notification{Method: "POST", Body: []byte("x")}))
		equal(t, "subscribe", wit.CallResult{Done: wit.Ptr("address")})(i.Subscribe(ctx, nil, 1, "address", nil, nil))
		equal(t, "retire", wit.CallResult{Done: wit.Ptr("c2")})(i.Retire(ctx, "c", nil, []string{"a", "b"}, nil, nil))
		equal(t, "progress", (*wit.LoadProgress)(nil))(i.Progress(ctx, nil, 1<<31, nil))
		offset := []wit.OffsetEntry{wit.IntegerEntry("n", 1)}
		equal(t, "progress", &wit.LoadProgress{Read: 1 << 31, Total: wit.Ptr(uint64(1))})(
			i.Progress(ctx, nil, 1<<31, offset))
		equal(t, "keys", wit.KeysUse{Ignored: wit.Set})(i.Keys(ctx, nil, 0, nil))
		equal(t, "keys", wit.KeysUse{Remembered: wit.Set})(i.Keys(ctx, nil, 0, offset))
		equal(t, "keys", wit.KeysUse{Compared: &offset})(i.Keys(ctx, nil, 1, offset))
		equal(t, "compared", (*[]wit.OffsetEntry)(nil))(i.Compared(ctx, nil, 1, offset, nil))
		after := append(slices.Clone(offset), wit.StringEntry("a", "unknown"), wit.StringEntry("", "unknown"))
		equal(t, "compared", &after)(i.Compared(ctx, nil, 1, offset, [][]byte{[]byte("a"), {}}))
		offset[0] = wit.StringEntry("t", "key")
		equal(t, "progress", &wit.LoadProgress{Total: wit.Ptr(uint64(1)), Complete: wit.Ptr("key")})(
			i.Progress(ctx, nil, 0, offset))
		offset[0] = wit.StringEntry("t", "ä\n")
		_, err = i.Progress(ctx, nil, 0, offset)
		assert.Error(t, err, "for complete", "for an invalid name in complete")
	})
}

func TestSource(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		settings := []wit.Setting{{Name: "a", Value: "1"}}
		equal(t, "plan", wit.PlanResult{Tasks: [][]wit.Setting{settings, settings},
			ExactlyOnce: wit.Support{Unsupported: wit.Ptr("why not")}})(i.Plan(ctx, "s", settings, 2))
		opening, err := i.OpenSource(ctx, "s", settings, nil, nil)
		require.True(t, err == nil && opening.Ready != nil && len(opening.Ready.Feeds) == 1,
			"open: %v %+v", err, opening)
		feed := opening.Ready.Feeds[0]
		s := reg.Get(feed.Value.ID)
		assert.True(t, s != nil && *s.Root().Name == "line" && *feed.PollEveryMs == 1000 &&
			feed.Partition[0].Name == "service", "feed: %+v", feed)
		offset := []wit.OffsetEntry{wit.IntegerEntry("n", -1), {Name: "r", Value: wit.Scalar{Real: wit.Ptr(0.5)}},
			wit.NullEntry("z"), wit.StringEntry("t", "ü")}
		position := append(offset[:4:4], wit.IntegerEntry("now", 7))
		equal(t, "next", wit.NextAction{Fetch: &wit.Fetch{Request: wit.Request{Method: "GET", Target: "context",
			Repeatable: true}, Position: &position}})(
			i.Next(ctx, opening.Ready.Context, 0, offset, wit.PollReason{Poll: wit.Set}, 7))
		equal(t, "next", wit.NextAction{Idle: wit.Set})(i.Next(ctx, nil, 0, nil, wit.PollReason{Trigger: wit.Ptr("w")},
			7))
		_, err = i.Next(ctx, nil, 0, nil, wit.PollReason{Start: wit.Set}, -1)
		assertFault(t, err, wit.ErrorData, "a time before 1970")
		_, err = i.Next(ctx, nil, 0, nil, wit.PollReason{}, 7)
		assert.True(t, err != nil, "a cause outside of the enum was passed to the guest")
		_, err = i.Begin(ctx, nil, 0, nil, wit.Response{Status: 404})
		assertFault(t, err, wit.ErrorNotFound, "status 404")
		assertFault(t, i.CheckOffset(ctx, nil, nil), wit.ErrorIncompatible, "an offset without entries")
		assert.NoError(t, i.CheckOffset(ctx, nil, offset))
		page, err := i.Begin(ctx, nil, 0, &position, wit.Response{Status: 200})
		require.NoError(t, err)
		decodePage(t, ctx, i, page, reg)
		assert.NoError(t, i.Abandon(ctx, page))
	})
}

func decodePage(t *testing.T, ctx context.Context, i *plugin.Instance, page uint32, reg *record.Registry) {
	t.Helper()
	into := &record.Batch{Registry: reg, Topics: []string{"lines"}}
	equal(t, "decode", wit.DecodeResult{})(i.Decode(ctx, page, "", 200, []byte("one\ntw"), false, into))
	result, err := i.Decode(ctx, page, "tag", 410, []byte("o\nbad\nthree\n"), true, into)
	require.NoError(t, err)
	f := result.Errors[0]
	assert.Equal(t, "bad", string(into.Data[f.RawStart:f.RawStart+f.RawSize]))
	assert.Equal(t, "Bad", f.ErrorClass)
	result.Errors = nil
	want := wit.DecodeResult{
		Linked: []wit.LinkedRequest{{
			Request:  wit.Request{Tag: "tag", Method: "GET", Target: "/more"},
			Tolerate: []uint16{404, 410},
		}},
		Next:   &[]wit.OffsetEntry{wit.NullEntry("done"), wit.BooleanEntry("b", true)},
		More:   true,
		WaitMs: 9,
	}
	assert.Equal(t, want, result)
	assert.Equal(t, []string{"lines/-1 0@-1: one", "lines/-1 0@-1: two", "lines/-1 1@-1: three"}, texts(t, into))
}

func TestSink(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		equal(t, "open", wit.SinkOpenResult{Pending: &wit.RequestBatch{State: []byte("s")}})(i.OpenSink(ctx, "s", nil,
			nil, nil))
		equal(t, "open", wit.SinkOpenResult{Ready: &wit.SinkOpened{Context: []byte("sbody"),
			Topics: []string{"a", "b"}}})(
			i.OpenSink(ctx, "s", nil, []byte("s"), []wit.Response{{Body: []byte("body")}}))
		b := batch(t, reg, 3, 6)
		request := wit.Request{Method: "POST", Target: "/x", TokenPath: wit.Ptr("/"),
			Body: connectdata.AppendString(nil, "000000")}
		equal(t, "encode", wit.EncodeResult{Ready: []wit.Delivery{{Request: request, Rows: []uint32{0},
			State: []byte("in")}}, Rejected: []wit.RowError{{RowIndex: 2, Error: wit.Error{Kind: wit.ErrorData,
			Message: "no"}}}, Ignored: []uint32{1}})(
			i.Encode(ctx, nil, b, originsOf(b), []wit.Hint{{Row: 1, Text: "ignore"}, {Row: 2, Text: "refuse"}}))
		identified, err := i.Encode(ctx, nil, batch(t, reg, 2, 6), record.RecordIDs{Topics: []string{"other", "größer"},
			IDs: []wit.RecordID{{Topic: 1, Partition: 7, Offset: 1 << 40, Part: 3},
				{Partition: -1, Offset: -2}}}, []wit.Hint{{Row: 0, Text: "origin"}, {Row: 1, Text: "origin"}})
		require.NoError(t, err)
		got := string(identified.Ready[0].State) + " " + string(identified.Ready[1].State)
		assert.True(t, got == "größer-7@1099511627776/3 other--1@-2/0", "found the record IDs %s", got)
		_, err = i.Encode(ctx, nil, b, record.RecordIDs{}, nil)
		assert.Error(t, err, "3 rows with the origins of 0")
		rows := []uint32{4, 5}
		learned := wit.ResponseResult{Results: []wit.RowResult{{Written: wit.Set}},
			Context: wit.Ptr([]byte("opened+memo"))}
		equal(t, "handle-response", learned)(
			i.HandleResponse(ctx, []byte("opened+"), []byte("memo"), rows[:1], wit.Response{Status: 200}))
		written := wit.RowResult{Written: wit.Set}
		equal(t, "handle-response", wit.ResponseResult{Results: []wit.RowResult{written, written}})(
			i.HandleResponse(ctx, nil, nil, rows, wit.Response{Status: 200}))
		retried := wit.RowResult{Retry: &wit.Retry{Hint: "alone", Error: &wit.Error{Kind: wit.ErrorTransient,
			Message: "no answer"}, WaitMs: 5}}
		equal(t, "handle-response", wit.ResponseResult{Results: []wit.RowResult{retried, retried}})(
			i.HandleResponse(ctx, nil, nil, rows, wit.Response{}))
		rejected := wit.RowResult{Rejected: &wit.Error{Kind: wit.ErrorData, Message: "text", Code: wit.Ptr("E1")}}
		equal(t, "handle-response", wit.ResponseResult{Results: []wit.RowResult{rejected, rejected}})(
			i.HandleResponse(ctx, nil, []byte("memo"), rows, wit.Response{Status: 400, Body: []byte("text")}))
	})
}

func TestTest(t *testing.T) {
	withInstance(t, plugin.Options{}, func(ctx context.Context, i *plugin.Instance, reg *record.Registry) {
		matches, rowErrors, err := i.Test(ctx, nil, batch(t, reg, 4, 6))
		assert.True(t, err == nil && rowErrors == nil && cmp.Equal(matches, []bool{false, true, false, true}),
			"expected the matches false, true, false, true, found %v, %v, %v", matches, rowErrors, err)
	})
}

// A plugin that violates the contract traps, and its instance is not used again.
func TestContractViolationsTrap(t *testing.T) {
	reg := record.NewRegistry()
	_, binding := guest(t, plugin.Options{Registry: reg}, allGuest)
	apply := func(component string) func(context.Context, *plugin.Instance) error {
		return func(ctx context.Context, i *plugin.Instance) error {
			_, err := i.Apply(ctx, []byte(component), batch(t, reg, 1, 6))
			return err
		}
	}
	for want, call := range map[string]func(context.Context, *plugin.Instance) error{
		"expected 2 results, one for each row, found 0": func(ctx context.Context, i *plugin.Instance) error {
			_, err := i.HandleResponse(ctx, nil, nil, []uint32{1, 2}, wit.Response{Status: 299})
			return err
		},
		"row 1 is in none of ready, rejected and ignored": func(ctx context.Context, i *plugin.Instance) error {
			three := batch(t, reg, 3, 6)
			_, err := i.Encode(ctx, nil, three, originsOf(three), []wit.Hint{{Row: 1, Text: "lose"}})
			return err
		},
		`node 0: expected members of different names, found two named "a"`: apply("twins"),
		"guests/all/main.go:": apply("panic"), // the place of the panic in a guest that uses the SDK
	} {
		useInstance(t, binding, func(ctx context.Context, i *plugin.Instance) {
			trap := assertTrap(t, call(ctx, i), want, "(connector orders)")
			if strings.HasSuffix(want, "main.go:") && trap != nil {
				assert.Equal(t, "apply", trap.Function)
				assert.Contains(t, trap.Error(), "panic: boom")
			}
			_, err := i.Describe(ctx)
			assert.True(t, err != nil, "the instance responds after a trap")
		})
	}
	if got := binding.Current().Module().Metrics; got.Traps != 4 || got.Instances != 0 || got.Started != 4 {
		t.Errorf("expected 4 instances that were started and have trapped, found %+v", got)
	}
}
