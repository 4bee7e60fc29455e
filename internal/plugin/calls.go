package plugin

import (
	"context"
	"regexp"
	"slices"

	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/internal/abi"
	"github.com/culvert-project/culvert/internal/shown"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// functions are the contract's functions by interface and Go name.
var functions = binary.Functions

// invoke calls a function by its Go name through the reflective codec; batch.go has the calls with rows.
func invoke[T any](ctx context.Context, i *Instance, iface, method string, args ...any) (result T, err error) {
	function := functions[iface][method]
	export, err := i.beginCall(ctx, function)
	if err != nil {
		return result, err
	}
	var dst any = &result
	if _, ok := dst.(*noResult); ok {
		dst = nil
	}
	failure, err := i.guest.Invoke(i.callCtx, export, function, dst, args...)
	if err = i.endCall(failure, err); err != nil {
		var zero T
		return zero, err
	}
	return result, nil
}

// noResult is the result of functions without one.
type noResult struct{}

// Describe returns the module's description of itself.
func (i *Instance) Describe(ctx context.Context) (wit.Description, error) {
	return invoke[wit.Description](ctx, i, wit.InterfacePlugin, "Describe")
}

// Validate validates the settings of a component.
func (i *Instance) Validate(ctx context.Context, component string, settings []wit.Setting, online bool, state []byte,
	answers []wit.Response) (wit.ValidateResult, error) {
	validation, err := invoke[wit.ValidateResult](ctx, i, wit.InterfacePlugin, "Validate", component, settings, online,
		state, answers)
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

// Commands returns the plugin's commands.
func (i *Instance) Commands(ctx context.Context) ([]wit.Command, error) {
	return invoke[[]wit.Command](ctx, i, wit.InterfaceTools, "Commands")
}

// Run runs a command.
func (i *Instance) Run(ctx context.Context, command string, options, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.CommandResult, error) {
	return invoke[wit.CommandResult](ctx, i, wit.InterfaceTools, "Run", command, options, settings, state, answers)
}

// Plan returns the task configs of a source.
func (i *Instance) Plan(ctx context.Context, component string, settings []wit.Setting,
	maxTasks uint32) (wit.PlanResult, error) {
	plan, err := invoke[wit.PlanResult](ctx, i, wit.InterfaceSource, "Plan", component, settings, maxTasks)
	if why := plan.ExactlyOnce.Unsupported; why != nil {
		*why = shown.Line(*why)
	}
	return checkResult(i, plan, err, func() error { return checkPlan(&plan) })
}

// checkResult returns the result and the error of a call. If check rejects the result, the instance is discarded.
func checkResult[T any](i *Instance, result T, err error, check func() error) (T, error) {
	if err == nil {
		if err := check(); err != nil {
			var zero T
			return zero, i.discard(err)
		}
	}
	return result, err
}

// OpenSource returns the context for a source's other calls. Schemas of feeds get the host's IDs.
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
			if err := i.schemas.Register(s); err != nil {
				return wit.SourceOpenResult{}, i.discard(err)
			}
		}
	}
	return result, nil
}

// discard marks the instance as broken because its result violates the contract, and returns the trap.
func (i *Instance) discard(err error) error {
	i.broken = i.newTrap(err)
	i.recordOutcome(i.broken)
	return i.broken
}

// Next returns what a feed should fetch. now is in milliseconds since 1970.
func (i *Instance) Next(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry,
	cause wit.PollReason, now int64) (wit.NextAction, error) {
	action, err := invoke[wit.NextAction](ctx, i, wit.InterfaceSource, "Next", context, feed, offset, cause, now)
	return checkResult(i, action, err, func() error {
		if action.Fetch == nil {
			return nil
		}
		return checkPosition("next: position", action.Fetch.Position)
	})
}

// StartLog returns the lines that the plugin logs when [Instance.Next] starts a feed at an offset. They are not logged.
func (i *Instance) StartLog(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry,
	now int64) (lines []string, err error) {
	i.out.captured = &lines
	defer func() { i.out.captured = nil }()
	_, err = i.Next(ctx, context, feed, offset, wit.PollReason{Start: wit.Set}, now)
	return lines, err
}

// Begin starts a page and returns its number, which is valid on this instance only. position is nil for the page of a
// notification.
func (i *Instance) Begin(ctx context.Context, context []byte, feed uint32, position *[]wit.OffsetEntry,
	response wit.Response) (uint32, error) {
	return invoke[uint32](ctx, i, wit.InterfaceSource, "Begin", context, feed, position, response)
}

// Abandon ends a page before its last piece.
func (i *Instance) Abandon(ctx context.Context, page uint32) error {
	_, err := invoke[noResult](ctx, i, wit.InterfaceSource, "Abandon", page)
	return err
}

// CheckOffset returns a [*wit.Error] if the plugin rejects a stored offset.
func (i *Instance) CheckOffset(ctx context.Context, partition, offset []wit.OffsetEntry) error {
	_, err := invoke[noResult](ctx, i, wit.InterfaceSource, "CheckOffset", partition, offset)
	return err
}

// HandleNotification passes a request that the notification listener received.
func (i *Instance) HandleNotification(ctx context.Context, context []byte,
	notification wit.Notification) ([]wit.Trigger, error) {
	triggers, err := invoke[[]wit.Trigger](ctx, i, wit.InterfaceNotifications, "HandleNotification", context,
		notification)
	if err == nil {
		err = checkTriggers(triggers)
	}
	if err != nil {
		return nil, err
	}
	return triggers, nil
}

// Subscribe subscribes a feed under an address.
func (i *Instance) Subscribe(ctx context.Context, context []byte, feed uint32, address string, state []byte,
	answers []wit.Response) (wit.CallResult, error) {
	result, err := invoke[wit.CallResult](ctx, i, wit.InterfaceNotifications, "Subscribe", context, feed, address,
		state, answers)
	return checkResult(i, result, err, func() error { return checkDone(&result) })
}

// Retire removes what a connector created at its service.
func (i *Instance) Retire(ctx context.Context, component string, settings []wit.Setting, addresses []string,
	state []byte, answers []wit.Response) (wit.CallResult, error) {
	result, err := invoke[wit.CallResult](ctx, i, wit.InterfaceRetirement, "Retire", component, settings, addresses,
		state, answers)
	return checkResult(i, result, err, func() error { return checkDone(&result) })
}

// Progress returns the progress of the load that an offset belongs to. It is nil if the offset belongs to none, or the
// module does not export the interface.
func (i *Instance) Progress(ctx context.Context, context []byte, feed uint32,
	offset []wit.OffsetEntry) (*wit.LoadProgress, error) {
	if !slices.Contains(i.module.info.Interfaces, wit.InterfaceProgress) {
		return nil, nil
	}
	progress, err := invoke[*wit.LoadProgress](ctx, i, wit.InterfaceProgress, "Progress", context, feed, offset)
	return checkResult(i, progress, err, func() error { return checkProgress(progress) })
}

// maxLoadRows is the largest number of rows of a load: sums and estimates of such numbers do not overflow, and JSON
// keeps them exact.
const maxLoadRows = 1 << 53

// completeName matches the name of a proof that a load has every row: it is the value of a metric's label.
var completeName = regexp.MustCompile(`^[a-z]{1,16}$`)

func checkProgress(p *wit.LoadProgress) error {
	switch {
	case p == nil:
		return nil
	case p.Complete != nil && !completeName.MatchString(*p.Complete):
		return abi.NewViolation("progress: expected one to sixteen letters a–z for complete, found %q",
			shown.Line(*p.Complete))
	case p.Read > maxLoadRows:
		return abi.NewViolation("progress: expected at most %d rows read, found %d", maxLoadRows, p.Read)
	case p.Total != nil && *p.Total > maxLoadRows:
		return abi.NewViolation("progress: expected a total of at most %d rows, found %d", maxLoadRows, *p.Total)
	}
	return nil
}

// Keys returns what to do with the keys of the rows of the page that Next requests from an offset: they are ignored if
// the module does not export the interface.
func (i *Instance) Keys(ctx context.Context, context []byte, feed uint32,
	offset []wit.OffsetEntry) (wit.KeysUse, error) {
	if !slices.Contains(i.module.info.Interfaces, wit.InterfaceProgress) {
		return wit.KeysUse{Ignored: wit.Set}, nil
	}
	use, err := invoke[wit.KeysUse](ctx, i, wit.InterfaceProgress, "Keys", context, feed, offset)
	return checkResult(i, use, err, func() error { return checkPosition("keys: compared", use.Compared) })
}

// Compared returns the offset after a comparison of keys, or nil. Call it only after [Instance.Keys] has requested a
// comparison, since the module must export the interface.
func (i *Instance) Compared(ctx context.Context, context []byte, feed uint32, offset []wit.OffsetEntry,
	unknown [][]byte) (*[]wit.OffsetEntry, error) {
	next, err := invoke[*[]wit.OffsetEntry](ctx, i, wit.InterfaceProgress, "Compared", context, feed, offset, unknown)
	return checkResult(i, next, err, func() error { return checkPosition("compared", next) })
}

// OpenSink returns the context for a sink's other calls.
func (i *Instance) OpenSink(ctx context.Context, component string, settings []wit.Setting, state []byte,
	answers []wit.Response) (wit.SinkOpenResult, error) {
	result, err := invoke[wit.SinkOpenResult](ctx, i, wit.InterfaceSink, "Open", component, settings, state, answers)
	return checkResult(i, result, err, func() error {
		if result.Ready == nil {
			return nil
		}
		return checkCount("topics", len(result.Ready.Topics), MaxTopics)
	})
}

// Warnings returns how many warnings and errors the last call logged.
func (i *Instance) Warnings() int { return i.out.warnings }

// HandleResponse passes the response to a delivery and returns one result for each of its rows.
func (i *Instance) HandleResponse(ctx context.Context, context []byte, memo []byte, rows []uint32,
	response wit.Response) (wit.ResponseResult, error) {
	var result wit.ResponseResult
	pass := func(export *abi.Func) (uint32, error) {
		if err := i.guest.PassResponse(i.callCtx, context, memo, rows, &response); err != nil {
			return 0, err
		}
		return i.guest.Call(i.callCtx, export)
	}
	err := i.callBatch(ctx, responseFunc, pass, canon.SizeOf[wit.ResponseResult](), func(_ []byte, ptr uint32) error {
		return i.guest.Lift(ptr, &result)
	})
	if err != nil {
		return wit.ResponseResult{}, err
	}
	rowResults := result.Results
	if len(rowResults) != len(rows) {
		return wit.ResponseResult{}, i.discard(abi.NewViolation("expected %d results, one for each row, found %d",
			len(rows), len(rowResults)))
	}
	if err := checkHints(rowResults); err != nil {
		return wit.ResponseResult{}, i.discard(err)
	}
	for n := range rowResults {
		if failure := rowResults[n].Rejected; failure != nil {
			sanitize(failure)
		}
		if retry := rowResults[n].Retry; retry != nil && retry.Error != nil {
			sanitize(retry.Error)
		}
	}
	return result, nil
}

// Prepare compiles a chain of stages of this module into a context.
func (i *Instance) Prepare(ctx context.Context, chain []wit.Stage) ([]byte, error) {
	return invoke[[]byte](ctx, i, wit.InterfaceTransform, "Prepare", chain)
}
