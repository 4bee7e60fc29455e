package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/plugins/odata/config"
	"github.com/culvert-project/culvert/plugins/odata/sourceconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

// TestNoSecretIsRead: the plugin works without the password, and shows it nowhere if it receives one.
func TestNoSecretIsRead(t *testing.T) {
	settings := append(configuration(set("00", "Orders")...), wit.Setting{Name: "sap.odata.user.pwd", Value: "hush"})
	s := odatatest.New(odatatest.Options{})
	load := newLoad(t, s, set("00", "Orders")...)
	result, err := load.p.Open(sourceconfig.V2.Class, settings, nil, nil)
	require.NoError(t, err)
	opened, err := load.p.Open(sourceconfig.V2.Class, settings, nil, load.exchangeAll(result.Pending))
	require.NoError(t, err)
	assert.True(t, string(opened.Ready.Context) == string(load.opened.Context) &&
		opened.Ready.Feeds[0].Fingerprint == load.opened.Feeds[0].Fingerprint,
		"the password changes the result of open")
	output, err := json.Marshal([]any{result, opened})
	require.NoError(t, err)
	assert.True(t, !strings.Contains(string(output), "hush"), "a result contains the password")
	passwords := 0
	for _, spec := range sourceconfig.V2.Table.Keys() {
		if spec.Kind == wit.KindPassword {
			passwords++
		}
	}
	assert.Equal(t, 11, passwords, "passwords")
}

func TestPlan(t *testing.T) {
	settings := join(set("00", "Orders"), set("01", "Products"), set("2", "Customers"),
		[]string{"sap.odata.format=atom"})
	for maxTasks, expected := range map[uint32]string{1: "00 01 2", 2: "00 2|01", 9: "00|01|2"} {
		layout, err := (&plugin{}).Plan(sourceconfig.V2.Class, configuration(settings...), maxTasks)
		require.NoError(t, err)
		var tasks []string
		for _, task := range layout.Tasks {
			values := sourceconfig.V2.Table.Values(task)
			var numbers []string
			for _, g := range config.Groups(values) {
				numbers = append(numbers, g.Digits)
			}
			tasks = append(tasks, strings.Join(numbers, " "))
			assert.True(t, values.String("sap.odata.format") == "atom" && values.String(config.Address) != "",
				"a task lacks a setting of all tasks")
		}
		assert.Equal(t, expected, strings.Join(tasks, "|"), maxTasks, "tasks")
		if layout.ExactlyOnce.Supported == nil {
			t.Errorf("expected exactly once, found %s", *layout.ExactlyOnce.Unsupported)
		}
	}
	layout, err := (&plugin{}).Plan(sourceconfig.V2.Class,
		configuration(append(settings, "sap.odata#01.exec-period=60")...), 1)
	assert.True(t, err == nil && layout.ExactlyOnce.Unsupported != nil &&
		strings.Contains(*layout.ExactlyOnce.Unsupported, "Products"),
		"expected the rejection to name Products, found %+v (%v)", layout.ExactlyOnce, err)
}

// TestPollReasons: an interrupted load continues at once. A complete load waits for its period, even after a restart.
func TestPollReasons(t *testing.T) {
	service := odatatest.New(odatatest.Options{Switches: odatatest.Switches{PageSize: 500}})
	load := newLoad(t, service, append(set("00", "Orders"), "sap.odata#00.exec-period=60")...)
	p := load.opened.Feeds[0].PollEveryMs
	assert.True(t, p != nil && *p == 60_000, "expected a period of 60000 ms, found %v", p)
	step, err := load.next(0, nil, start)
	require.True(t, err == nil && step.Fetch != nil && step.Fetch.RepeatsExactly && !step.Fetch.Acknowledges &&
		step.Fetch.Request.Repeatable, "expected the first page, found %+v (%v)", step, err)
	firstPage, err := load.page(0, step.Fetch)
	require.NoError(t, err)
	secondPage, err := load.next(0, firstPage, start)
	if err != nil || secondPage.Fetch == nil || !strings.Contains(secondPage.Fetch.Request.Target, "$skiptoken") {
		t.Fatalf("expected the second page, found %+v (%v)", secondPage, err)
	}
	done := load.readAll(firstPage)
	for _, test := range []struct {
		cause   wit.PollReason
		now     int64
		hasPage bool
	}{
		{cause: start, now: readAt + 59_999},
		{cause: start, now: readAt + 60_000, hasPage: true},
		{cause: onward, now: readAt + 90_000},
		{cause: poll, now: readAt, hasPage: true},
	} {
		step, err := load.p.Next(load.opened.Context, 0, done, test.cause, test.now)
		assert.True(t, err == nil && (step.Fetch != nil) == test.hasPage && (step.Idle != nil) != test.hasPage,
			"%+v at %d: expected a page: %v, found %+v (%v)", test.cause, test.now-readAt, test.hasPage, step, err)
	}
	unscheduled := newLoad(t, service, set("00", "Orders")...)
	step, err = unscheduled.p.Next(unscheduled.opened.Context, 0, done, start, readAt+90_000)
	assert.True(t, err == nil && step.Finished != nil, "expected a finished load, found %+v (%v)", step, err)
}

// An offset is accepted if its partition names a set, and its fields are of the right kinds. No offset is accepted too.
func TestOffsets(t *testing.T) {
	partition := []wit.OffsetEntry{wit.StringEntry("service", "/s"), wit.StringEntry("entityset", "X")}
	good := []wit.OffsetEntry{wit.StringEntry("url", "/s/X"), wit.IntegerEntry("seen", 3)}
	unknown := wit.StringEntry("of another connector or version", "x")
	changes := wit.StringEntry("phase", "changes")
	for _, test := range []struct {
		partition []wit.OffsetEntry
		offset    []wit.OffsetEntry
		isValid   bool
	}{
		{partition: partition, offset: good, isValid: true},
		{partition: partition, isValid: true},
		{partition: partition[:1], offset: good},
		{offset: good},
		{partition: partition, offset: good[1:]},
		{partition: partition, offset: append(good, wit.IntegerEntry("count", -1))},
		{partition: partition, offset: append(good, wit.StringEntry("done", "x"))},
		{partition: partition, offset: []wit.OffsetEntry{wit.StringEntry("url", "http://evil/")}},
		{partition: partition, offset: []wit.OffsetEntry{good[0], unknown}, isValid: true},
		{partition: partition, offset: append(good, unknown)},
		{partition: partition, offset: []wit.OffsetEntry{changes, good[0]}, isValid: true},
		{partition: partition, offset: []wit.OffsetEntry{changes, good[0], unknown}},
		{partition: partition, offset: []wit.OffsetEntry{wit.StringEntry("phase", "next"), good[0]}},
	} {
		if err := (&plugin{}).CheckOffset(test.partition, test.offset); (err == nil) != test.isValid {
			t.Errorf("%v %v: expected a valid offset: %v, found %v", test.partition, test.offset, test.isValid, err)
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
	phases := map[string][]wit.OffsetEntry{"": nil, "load": nil, "changes": nil, "changes, resting": {flag("rest")},
		"second": nil, "links": nil}
	for _, step := range []string{"ask", "end", "open", "wait"} {
		phases[step] = nil
	}
	// fields contains the phases of each field. "" means all phases for url, and the phase without a name for others.
	fields := map[string]string{"url": "", "next": "", "link": "changes links",
		"second.url": "second", "second.next": "second"}
	for phase, flags := range phases {
		for field, phaseList := range fields {
			isCommon := phaseList == ""
			isListed := slices.Contains(strings.Fields(phaseList), phase) || phaseList == phase
			if (isCommon && field != "url" && phase != "") || (!isCommon && !isListed) {
				continue
			}
			for address, isPath := range map[string]bool{"/s/X?$skiptoken=//evil/": true, "//evil/X": false,
				`/\evil/X`: false, `\\evil/X`: false, "///evil/X": false, "http://evil/X": false} {
				offset := slices.Clone(flags)
				if name, _, _ := strings.Cut(phase, ","); name != "" {
					offset = append(offset, wit.StringEntry("phase", name))
				}
				for _, name := range []string{"url", "second.url"} {
					if name != field && (name == "url" || phase == "second") {
						offset = append(offset, wit.StringEntry(name, "/s/X"))
					}
				}
				offset = append(offset, wit.StringEntry(field, address))
				err := (&plugin{}).CheckOffset(partition, offset)
				assert.True(t, (err == nil) == isPath,
					"phase %q, %s=%s: expected a valid address: %v, found %v", phase, field, address, isPath, err)
			}
		}
	}
}

// The commands return JSON, also from a service that rejects $format. Without the required options they fail.
func TestTools(t *testing.T) {
	for _, class := range sourceconfig.Components {
		t.Run(class.Dialect.Name(), func(t *testing.T) {
			service := odatatest.New(odatatest.Options{})
			load := newUnopened(t, service)
			run := func(command string, options ...string) (string, error) {
				if class == sourceconfig.V4 {
					options, _ = asV4(options)
				}
				var list []wit.Setting
				for _, o := range options {
					name, value, _ := strings.Cut(o, "=")
					list = append(list, wit.Setting{Name: name, Value: value})
				}
				document, err := load.runCommand(command, list, "connector.class="+class.Class)
				assert.True(t, err != nil || json.Valid([]byte(document)), "%s: invalid JSON: %s", command, document)
				return document, err
			}
			check := func(part, command string, options ...string) {
				t.Helper()
				document, err := run(command, options...)
				assert.True(t, err == nil && strings.Contains(document, part),
					"%s: expected %s in %s (%v)", command, part, document, err)
			}
			checkTools(t, service, check)
			for command, options := range map[string][]string{"ping": nil, "extract-schema": {"s=" + northwind},
				"fly": {"s=/"}, "list-entitysets": {"s=/nowhere"}} {
				document, err := run(command, options...)
				assert.True(t, err != nil, "%s %v: expected an error, found %s", command, options, document)
			}
		})
	}
	commands := (&plugin{}).Commands()
	assert.True(t, len(commands) == 9 && commands[0].Name == "ping",
		"expected ping to be the first of nine commands, found %+v", commands)
}

// checkTools checks the outputs of commands for the demo service.
func checkTools(t *testing.T, service *odatatest.Service, check func(part, command string, options ...string)) {
	t.Helper()
	check(`/Northwind/Northwind.svc","collections":`, "ping", "s="+northwind+"/")
	check(`{"name":"Order_Details","type":"NorthwindModel.Order_Detail","key":"OrderID,ProductID","creatable":true`,
		"list-entitysets", "service="+northwind)
	check(`{"name":"UnitPrice","type":"Decimal, scale 4"},{"name":"Quantity","type":"int16"},`,
		"peek", "s="+northwind, "e=Order_Details", "n=2")
	check(`"rows":[{"OrderID":10248,`, "peek", "s="+northwind, "e=Orders", "rows=1")
	require.NoError(t, service.Set("refuse-format", "true"))
	check(`"rows":[{"OrderID":10248,`, "peek", "s="+northwind, "e=Orders", "rows=1")
}

// TestInvalidSettingsStartNoTask: no task starts with settings that the validation rejects.
func TestInvalidSettingsStartNoTask(t *testing.T) {
	wrong := configuration(append(set("00", "Orders"), "sap.odata#00.exec-period=0")...)
	inquiry, err := (&plugin{}).Validate(sourceconfig.V2.Class, wrong, false, nil, nil)
	assert.True(t, err == nil && setting.FirstError(*inquiry.Done) != nil,
		"expected validation errors, found none (%v)", err)
	_, err = (&plugin{}).Open(sourceconfig.V2.Class, wrong, nil, nil)
	assert.True(t, err != nil, "expected open to reject the settings")
}
