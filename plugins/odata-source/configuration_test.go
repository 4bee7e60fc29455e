package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// TestNoSecretIsRead: the plugin works without the password, and shows it nowhere if it receives one.
func TestNoSecretIsRead(t *testing.T) {
	with := append(configuration(set("00", "Orders")...), wit.Setting{Name: "sap.odata.user.pwd", Value: "hush"})
	s := odatatest.New(odatatest.Options{})
	load := newLoad(t, s, set("00", "Orders")...)
	result, err := load.p.Open(sourceconfig.Component, with, nil, nil)
	noError(t, err)
	opened, err := load.p.Open(sourceconfig.Component, with, nil, load.answers(result.Pending))
	noError(t, err)
	if string(opened.Ready.Context) != string(load.opened.Context) ||
		opened.Ready.Feeds[0].Fingerprint != load.opened.Feeds[0].Fingerprint {
		t.Error("the password changes the result of open")
	}
	all, err := json.Marshal([]any{result, opened})
	noError(t, err)
	if strings.Contains(string(all), "hush") {
		t.Error("a result contains the password")
	}
	passwords := 0
	for _, spec := range sourceconfig.Table.Keys() {
		if spec.Kind == wit.KindPassword {
			passwords++
		}
	}
	if passwords != 11 {
		t.Errorf("expected 11 passwords, found %d", passwords)
	}
}

func TestPlan(t *testing.T) {
	all := join(set("00", "Orders"), set("01", "Products"), set("2", "Customers"), []string{"sap.odata.format=atom"})
	for most, expected := range map[uint32]string{1: "00 01 2", 2: "00 2|01", 9: "00|01|2"} {
		layout, err := (&plugin{}).Plan(sourceconfig.Component, configuration(all...), most)
		noError(t, err)
		var tasks []string
		for _, task := range layout.Tasks {
			values := sourceconfig.Table.Values(task)
			var numbers []string
			for _, g := range config.Groups(values) {
				numbers = append(numbers, g.Digits)
			}
			tasks = append(tasks, strings.Join(numbers, " "))
			if values.String("sap.odata.format") != "atom" || values.String(config.Address) == "" {
				t.Error("a task lacks a setting of all tasks")
			}
		}
		if found := strings.Join(tasks, "|"); found != expected {
			t.Errorf("%d tasks: expected %s, found %s", most, expected, found)
		}
		if layout.ExactlyOnce.Supported == nil {
			t.Errorf("expected exactly once, found %s", *layout.ExactlyOnce.Unsupported)
		}
	}
	layout, err := (&plugin{}).Plan(sourceconfig.Component,
		configuration(append(all, "sap.odata#01.exec-period=60")...), 1)
	if err != nil || layout.ExactlyOnce.Unsupported == nil ||
		!strings.Contains(*layout.ExactlyOnce.Unsupported, "Products") {
		t.Errorf("expected the rejection to name Products, found %+v (%v)", layout.ExactlyOnce, err)
	}
}

// TestPollReasons: an interrupted load continues at once. A complete load waits for its period, even after a restart.
func TestPollReasons(t *testing.T) {
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 500}})
	load := newLoad(t, service, append(set("00", "Orders"), "sap.odata#00.exec-period=60")...)
	if p := load.opened.Feeds[0].PollEveryMs; p == nil || *p != 60_000 {
		t.Errorf("expected a period of 60000 ms, found %v", p)
	}
	step, err := load.next(0, nil, start)
	if err != nil || step.Fetch == nil || !step.Fetch.RepeatsExactly || step.Fetch.Acknowledges ||
		!step.Fetch.Request.Repeatable {
		t.Fatalf("expected the first page, found %+v (%v)", step, err)
	}
	middle, err := load.page(0, step.Fetch)
	noError(t, err)
	again, err := load.next(0, append(middle, wit.IntegerEntry("record", 3)), start)
	if err != nil || again.Fetch == nil || !strings.Contains(again.Fetch.Request.Target, "$skiptoken") {
		t.Fatalf("expected the second page, found %+v (%v)", again, err)
	}
	done := load.all(middle)
	for _, test := range []struct {
		cause    wit.PollReason
		now      int64
		expected bool
	}{
		{cause: start, now: readAt + 59_999},
		{cause: start, now: readAt + 60_000, expected: true},
		{cause: onward, now: readAt + 90_000},
		{cause: poll, now: readAt, expected: true},
	} {
		step, err := load.p.Next(load.opened.Context, 0, done, test.cause, test.now)
		if err != nil || (step.Fetch != nil) != test.expected || (step.Idle != nil) == test.expected {
			t.Errorf("%+v at %d: expected a page: %v, found %+v (%v)", test.cause, test.now-readAt, test.expected,
				step, err)
		}
	}
	once := newLoad(t, service, set("00", "Orders")...)
	if step, err := once.p.Next(once.opened.Context, 0, done, start, readAt+90_000); err != nil ||
		step.Finished == nil {
		t.Errorf("expected a finished load, found %+v (%v)", step, err)
	}
}

func TestOffsets(t *testing.T) {
	partition := []wit.OffsetEntry{wit.StringEntry("service", "/s"), wit.StringEntry("entityset", "X")}
	good := []wit.OffsetEntry{wit.StringEntry("url", "/s/X"), wit.IntegerEntry("seen", 3),
		wit.StringEntry("of the host", "x")}
	for _, test := range []struct {
		partition []wit.OffsetEntry
		offset    []wit.OffsetEntry
		ok        bool
	}{
		{partition: partition, offset: good, ok: true},
		{partition: partition, ok: true},
		{partition: partition[:1], offset: good},
		{offset: good},
		{partition: partition, offset: good[1:]},
		{partition: partition, offset: append(good, wit.IntegerEntry("count", -1))},
		{partition: partition, offset: append(good, wit.StringEntry("done", "x"))},
		{partition: partition, offset: []wit.OffsetEntry{wit.StringEntry("url", "http://evil/")}},
	} {
		if err := (&plugin{}).CheckOffset(test.partition, test.offset); (err == nil) != test.ok {
			t.Errorf("%v %v: expected %v, found %v", test.partition, test.offset, test.ok, err)
		}
	}
}

// Each address in an offset is a path, in each phase. A user who sets an offset cannot send requests with the service's
// password to another host.
func TestOffsetsOfOtherHosts(t *testing.T) {
	partition := []wit.OffsetEntry{wit.StringEntry("service", "/s"), wit.StringEntry("entityset", "X")}
	flag := func(name string) wit.OffsetEntry {
		return wit.OffsetEntry{Name: name, Value: wit.Scalar{Boolean: wit.Ptr(true)}}
	}
	phases := map[string][]wit.OffsetEntry{"": nil, "load": nil, "load, plain": {flag("plain")}, "changes": nil,
		"changes, resting": {flag("rest")}, "changes, counted": {flag("counted")}, "second": nil, "links": nil}
	for _, step := range []string{"ask", "end", "open", "wait"} {
		phases[step] = nil
	}
	fields := map[string]string{"url": "", "next": "", "link": "changes links", "kept": "load, plain",
		"second.url": "second", "second.next": "second"}
	for phase, more := range phases {
		for field, of := range fields {
			if (of == "" && field != "url" && phase != "") || (of != "" && !slices.Contains(strings.Fields(of), phase) &&
				of != phase) {
				continue
			}
			for address, ok := range map[string]bool{"/s/X?$skiptoken=//evil/": true, "//evil/X": false,
				`/\evil/X`: false, `\\evil/X`: false, "///evil/X": false, "http://evil/X": false} {
				offset := slices.Clone(more)
				if name, _, _ := strings.Cut(phase, ","); name != "" {
					offset = append(offset, wit.StringEntry("phase", name))
				}
				for _, name := range []string{"url", "second.url"} {
					if name != field {
						offset = append(offset, wit.StringEntry(name, "/s/X"))
					}
				}
				offset = append(offset, wit.StringEntry(field, address))
				if err := (&plugin{}).CheckOffset(partition, offset); (err == nil) != ok {
					t.Errorf("phase %q, %s=%s: expected %v, found %v", phase, field, address, ok, err)
				}
			}
		}
	}
}

func TestTools(t *testing.T) {
	service := odatatest.New(odatatest.Options{})
	load := newLoad(t, service, set("00", "Orders")...)
	run := func(command string, options ...string) (string, error) {
		var list []wit.Setting
		for _, o := range options {
			name, value, _ := strings.Cut(o, "=")
			list = append(list, wit.Setting{Name: name, Value: value})
		}
		document, err := load.tool(command, list)
		if err == nil && !json.Valid([]byte(document)) {
			t.Errorf("%s: invalid JSON: %s", command, document)
		}
		return document, err
	}
	for _, test := range []struct {
		command string
		options []string
		part    string
	}{
		{"ping", []string{"s=" + northwind + "/"}, `{"service":"/V2/Northwind/Northwind.svc","collections":`},
		{"list-entitysets", []string{"service=" + northwind},
			`{"name":"Order_Details","type":"NorthwindModel.Order_Detail","key":"OrderID,ProductID","creatable":true`},
		{"peek", []string{"s=" + northwind, "e=Order_Details", "n=2"},
			`{"name":"UnitPrice","type":"Decimal, scale 4"},{"name":"Quantity","type":"int16"},`},
		{"peek", []string{"s=" + northwind, "e=Orders", "rows=1"}, `"rows":[{"OrderID":10248,`},
		{"refuse-format", nil, ""},
		{"peek", []string{"s=" + northwind, "e=Orders", "rows=1"}, `"rows":[{"OrderID":10248,`},
	} {
		if test.part == "" {
			noError(t, service.Set(test.command, "true"))
			continue
		}
		document, err := run(test.command, test.options...)
		if err != nil || !strings.Contains(document, test.part) {
			t.Errorf("%s: expected %s in %s (%v)", test.command, test.part, document, err)
		}
	}
	for command, options := range map[string][]string{"ping": nil, "extract-schema": {"s=" + northwind}, "fly": {"s=/"},
		"list-entitysets": {"s=/nowhere"}} {
		if document, err := run(command, options...); err == nil {
			t.Errorf("%s %v: expected an error, found %s", command, options, document)
		}
	}
	commands := load.p.Commands()
	if len(commands) != 9 || commands[0].Name != "ping" {
		t.Errorf("expected ping to be the first of nine commands, found %+v", commands)
	}
}

// TestInvalidSettingsStartNoTask: no task starts with settings that the validation rejects.
func TestInvalidSettingsStartNoTask(t *testing.T) {
	wrong := configuration(append(set("00", "Orders"), "sap.odata#00.exec-period=0")...)
	inquiry, err := (&plugin{}).Validate(sourceconfig.Component, wrong, false, nil, nil)
	if err != nil || setting.FirstError(*inquiry.Done) == nil {
		t.Errorf("expected validation errors, found none (%v)", err)
	}
	if _, err := (&plugin{}).Open(sourceconfig.Component, wrong, nil, nil); err == nil {
		t.Error("expected open to reject the settings")
	}
}
