package connect

import (
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/transport"
	"github.com/culvert-project/culvert/wit"
)

// view is a copy of a connector's spec and status at one moment. Everything that is shown of the connector is computed
// from a view, without the controller's lock.
type view struct {
	name string
	spec
	status
	// tasks are the tasks that are shown: those of the previous run until the tasks of the current one are known. A
	// stopped connector shows none; ran has its last ones nevertheless.
	tasks, ran []taskView
	// client is the client of the current run; nil while that has no tasks.
	client *transport.Client
}

// taskView is a copy of the state of a task.
type taskView struct {
	connector *connector
	number    int
	settings  []wit.Setting
	taskStatus
	times stateTimes
}

// observe returns a view of the connector.
func (k *controller) observe() *view {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := &view{name: k.name, spec: k.spec, status: k.status}
	v.status.times = nil // which change
	if len(v.current.set.tasks) > 0 {
		v.client = v.current.run.client
	}
	shown := v.shown()
	for _, t := range shown.set.tasks {
		one := taskView{connector: shown, number: t.number, settings: t.settings, taskStatus: t.taskStatus}
		if times := k.status.times[t.number]; times != nil {
			one.times = *times
		}
		v.ran = append(v.ran, one)
	}
	if v.state != Stopped {
		v.tasks = v.ran
	}
	return v
}

// shown returns the run whose tasks are shown; the controller's lock is held.
func (s *status) shown() *connector {
	if s.before != nil && len(s.current.set.tasks) == 0 {
		return s.before
	}
	return s.current
}

// strike removes from a text what config providers returned.
func (v *view) strike(text string) string { return v.current.o.Worker.Redact(text) }

func (v *view) failures() (failures []error) {
	if v.fault != nil {
		failures = append(failures, &failure{v.name, -1, v.fault})
	}
	for _, t := range v.tasks {
		if t.fault != nil {
			failures = append(failures, &failure{v.name, t.number, t.fault})
		}
	}
	return failures
}

func (v *view) info() Info {
	info := Info{Name: v.name, Config: v.given.Raw(), Tasks: []TaskID{}, Type: v.current.kind()}
	if v.given.Text("connector.class") != v.current.given.Text("connector.class") { // its next run has another class
		info.Type = newConnector(v.current.controller, v.o, v.given).kind()
	}
	for _, t := range v.tasks {
		info.Tasks = append(info.Tasks, TaskID{v.name, t.number})
	}
	return info
}

// answer returns the status as REST shows it.
func (v *view) answer() Status {
	of := v.current.class.plugin
	s := Status{Name: v.name, Type: v.current.kind(), Tasks: []TaskStatus{}, Connector: ConnectorStatus{State: v.state,
		WorkerID: v.o.WorkerID, Version: of.Version, Plugin: fileOf(of), File: v.given.File}}
	if v.fault != nil {
		s.Connector.Trace = v.strike(trace(v.fault, "connector "+v.name))
		s.Connector.Restarts = restarts(v.startsAt)
	}
	if v.refused.Err() != nil {
		s.Connector.ConfigError = v.strike(v.refused.Error())
	}
	for _, t := range v.tasks {
		of := t.connector.class.plugin
		one := TaskStatus{ID: t.number, State: t.state, WorkerID: v.o.WorkerID, Version: of.Version}
		if t.plugins != nil {
			t.plugins(&one)
		}
		if t.state == Running && v.client != nil {
			one.Trace = v.strike(v.client.Waiting())
		}
		if t.fault != nil {
			at := fmt.Sprintf("task %s-%d (%s %s)", v.name, t.number, of.Name, one.Version)
			one.Trace = v.strike(trace(t.fault, at))
			one.Restarts = restarts(t.next)
		}
		s.Tasks = append(s.Tasks, one)
	}
	return s
}

// comparison returns what a reload compares with.
func (v *view) comparison() config.RunningConnector {
	return config.RunningConnector{Name: v.name, File: v.given.File, Raw: v.given.Raw(), Config: v.given,
		Rejected: v.given.Problems.Err() != nil, HasFailed: v.state != Running ||
			slices.ContainsFunc(v.tasks, func(t taskView) bool { return t.state != Running })}
}

// taskInfos returns the settings of tasks as the newest configuration has them, see asWritten.
func (v *view) taskInfos() (infos []TaskInfo) {
	for _, t := range v.tasks {
		infos = append(infos, TaskInfo{TaskID{v.name, t.number}, t.connector.asWritten(v.given, t.settings)})
	}
	return infos
}

// progress sums up what the tasks have done, also those that a stopped connector had last.
func (v *view) progress() Progress {
	p := Progress{Connector: v.name, Type: v.current.kind(), State: v.state, CaughtUp: len(v.ran) > 0}
	for _, t := range v.ran {
		one := t.now()
		p.Rows += one.Rows
		p.Read += one.Read
		p.Pages += one.Pages
		p.Bytes += one.Bytes
		p.Lag += one.Lag
		p.Failed += one.Failed
		p.Warnings += one.Warnings
		p.CaughtUp = p.CaughtUp && one.CaughtUp
		if t.state == Failed && v.state != Stopped {
			p.State = Failed
		}
	}
	return p
}
