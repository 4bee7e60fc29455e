package plugin

import (
	"context"

	"github.com/culvert-project/culvert/host/plugin/binary"
	"github.com/culvert-project/culvert/host/plugin/internal/abi"
	"github.com/culvert-project/culvert/host/shown"
	"github.com/culvert-project/culvert/wit"
)

// The calls that are rare go through the reflective codec.

// functions are the contract's, by interface and Go's name.
var functions = binary.Functions

// invoke calls a function by Go's name of it.
func invoke[T any](ctx context.Context, i *Instance, iface, method string, args ...any) (result T, err error) {
	fn := functions[iface][method]
	f, err := i.enter(ctx, fn)
	if err != nil {
		return result, err
	}
	var dst any = &result
	if _, none := dst.(*noResult); none {
		dst = nil
	}
	fault, err := i.guest.Invoke(i.callCtx, f, fn, dst, args...)
	if err = i.leave(fault, err); err != nil {
		var zero T
		return zero, err
	}
	return result, nil
}

// noResult is the result of a function without one.
type noResult struct{}

// Describe asks the module what it is.
func (i *Instance) Describe(ctx context.Context) (wit.Description, error) {
	return invoke[wit.Description](ctx, i, wit.InterfacePlugin, "Describe")
}

// Validate checks settings together.
func (i *Instance) Validate(ctx context.Context, component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	validation, err := invoke[wit.ValidateResult](ctx, i, wit.InterfacePlugin, "Validate", component, settings, online,
		state,
		answers)
	if err == nil && validation.Done != nil {
		if err := checkConfigValues(*validation.Done); err != nil {
			return wit.ValidateResult{}, i.discard(err)
		}
		for _, x := range *validation.Done {
			for n := range x.Errors {
				x.Errors[n] = shown.Line(x.Errors[n])
			}
		}
	}
	return validation, err
}

// Commands lists what the plugin adds to the command line.
func (i *Instance) Commands(ctx context.Context) ([]wit.Command, error) {
	return invoke[[]wit.Command](ctx, i, wit.InterfaceTools, "Commands")
}

// Run runs a command.
func (i *Instance) Run(ctx context.Context, command string, options, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	return invoke[wit.CommandResult](ctx, i, wit.InterfaceTools, "Run", command, options, settings, state, answers)
}

// Plan shares a source's work out among tasks.
func (i *Instance) Plan(ctx context.Context, component string, settings []wit.Setting, maxTasks uint32) (wit.PlanResult,
	error) {
	plan, err := invoke[wit.PlanResult](ctx, i, wit.InterfaceSource, "Plan", component, settings, maxTasks)
	if err != nil {
		return plan, err
	}
	if err := checkPlan(&plan); err != nil {
		return wit.PlanResult{}, i.discard(err)
	}
	if why := plan.ExactlyOnce.Unsupported; why != nil {
		*why = shown.Line(*why)
	}
	return plan, nil
}

// OpenSource works out what a source's other calls need. Schemas of feeds come back under the host's ids.
func (i *Instance) OpenSource(ctx context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SourceOpenResult, error) {
	result, err := invoke[wit.SourceOpenResult](ctx, i, wit.InterfaceSource, "Open", component, settings, state,
		answers)
	if err != nil || result.Ready == nil {
		return result, err
	}
	if err := checkFeeds(result.Ready.Feeds); err != nil {
		return wit.SourceOpenResult{}, i.discard(err)
	}
	for f := range result.Ready.Feeds {
		feed := &result.Ready.Feeds[f]
		for _, s := range []*wit.Schema{feed.Key, feed.Value} {
			if s == nil {
				continue
			}
			if err := i.schemas.Adopt(s); err != nil {
				return wit.SourceOpenResult{}, i.discard(err)
			}
		}
	}
	return result, nil
}

// discard makes a trap of something that only showed after a call had ended well.
func (i *Instance) discard(err error) error {
	i.broken = i.trap(err)
	i.recordOutcome(i.broken)
	return i.broken
}

// Next asks a feed what to fetch. now is in milliseconds since 1970.
func (i *Instance) Next(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry,
	cause wit.PollReason,
	now int64) (wit.NextAction, error) {
	action, err := invoke[wit.NextAction](ctx, i, wit.InterfaceSource, "Next", context, feed, offset, cause, now)
	if err == nil && action.Fetch != nil {
		if err := checkPosition("next: position", action.Fetch.Position); err != nil {
			return wit.NextAction{}, i.discard(err)
		}
	}
	return action, err
}

// Begin starts a page; position is nil for a wake's. The page's number is valid on this instance only.
func (i *Instance) Begin(ctx context.Context, context []byte, feed uint32, position *[]wit.OffsetEntry,
	response wit.Response) (uint32, error) {
	return invoke[uint32](ctx, i, wit.InterfaceSource, "Begin", context, feed, position, response)
}

// Abandon ends a page before its last piece.
func (i *Instance) Abandon(ctx context.Context, page uint32) error {
	_, err := invoke[noResult](ctx, i, wit.InterfaceSource, "Abandon", page)
	return err
}

// CheckOffset asks whether a stored offset is one of the plugin's: nil, or a [*wit.Fault] that says why not.
func (i *Instance) CheckOffset(ctx context.Context, partition, offset []wit.OffsetEntry) error {
	_, err := invoke[noResult](ctx, i, wit.InterfaceSource, "CheckOffset", partition, offset)
	return err
}

// HandleNotification hands in a request of the listener's.
func (i *Instance) HandleNotification(ctx context.Context, context []byte,
	notification wit.Notification) ([]wit.Trigger, error) {
	wakes, err := invoke[[]wit.Trigger](ctx, i, wit.InterfaceNotifications, "HandleNotification", context, notification)
	if err == nil {
		err = checkTriggers(wakes)
	}
	if err != nil {
		return nil, err
	}
	return wakes, nil
}

// Subscribe asks for a subscription of a feed under an address.
func (i *Instance) Subscribe(ctx context.Context, context []byte, feed uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	return i.checkCallResult(invoke[wit.CallResult](ctx, i, wit.InterfaceNotifications, "Subscribe", context, feed,
		address,
		state, answers))
}

// Retire undoes what a connector set up at its service.
func (i *Instance) Retire(ctx context.Context, component string, settings []wit.Setting, addresses []string,
	state []byte, answers []wit.Response) (wit.CallResult, error) {
	return i.checkCallResult(invoke[wit.CallResult](ctx, i, wit.InterfaceRetirement, "Retire", component, settings,
		addresses,
		state, answers))
}

// checkCallResult takes what came of a call that arranges something at the service.
func (i *Instance) checkCallResult(a wit.CallResult, err error) (wit.CallResult, error) {
	if err == nil {
		if err := checkDone(&a); err != nil {
			return wit.CallResult{}, i.discard(err)
		}
	}
	return a, err
}

// OpenSink works out what a sink's other calls need.
func (i *Instance) OpenSink(ctx context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SinkOpenResult, error) {
	result, err := invoke[wit.SinkOpenResult](ctx, i, wit.InterfaceSink, "Open", component, settings, state, answers)
	if err == nil && result.Ready != nil {
		if err := checkCount("topics", len(result.Ready.Topics), MaxTopics); err != nil {
			return wit.SinkOpenResult{}, i.discard(err)
		}
	}
	return result, err
}

// Warnings is how many lines the call before has logged as warnings or errors.
func (i *Instance) Warnings() int { return i.out.warnings }

// HandleResponse reports what became of a delivery; there is one verdict for each of its rows.
func (i *Instance) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	result, err := invoke[wit.ResponseResult](ctx, i, wit.InterfaceSink, "HandleResponse", context, memo, rows,
		response)
	rowResults := result.Results
	if err == nil && len(rowResults) != len(rows) {
		return wit.ResponseResult{}, i.discard(abi.Violated("expected %d verdicts, one for each row, found %d",
			len(rows),
			len(rowResults)))
	}
	if err == nil {
		if err := checkHints(rowResults); err != nil {
			return wit.ResponseResult{}, i.discard(err)
		}
	}
	for n := range rowResults {
		if f := rowResults[n].Rejected; f != nil {
			readable(f)
		}
		if again := rowResults[n].Retry; again != nil && again.Error != nil {
			readable(again.Error)
		}
	}
	return result, err
}

// Prepare compiles a chain of stages of this module into a context.
func (i *Instance) Prepare(ctx context.Context, chain []wit.Stage) ([]byte, error) {
	return invoke[[]byte](ctx, i, wit.InterfaceTransform, "Prepare", chain)
}
