package notifications

import (
	"reflect"

	"github.com/culvert-project/culvert/sdk/go/internal/guest"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

var (
	handleNotificationFunc = canon.FuncOf(wit.InterfaceNotifications, "HandleNotification",
		wit.Notifications.HandleNotification)
	subscribeFunc = canon.FuncOf(wit.InterfaceNotifications, "Subscribe", wit.Notifications.Subscribe)
)

//go:wasmexport culvert:connect/notifications@0.3.0#handle-notification
func handleNotification(context, contextLen, method, methodLen, target, targetLen, headers, headersLen, body,
	bodyLen uint32) uint32 {
	return guest.Call(handleNotificationFunc, func(a []reflect.Value) (any, error) {
		return registered.HandleNotification(a[0].Bytes(), guest.Arg[wit.Notification](a[1]))
	}, guest.Widen(context, contextLen, method, methodLen, target, targetLen, headers, headersLen, body, bodyLen)...)
}

//go:wasmexport culvert:connect/notifications@0.3.0#subscribe
func subscribe(context, contextLen, feed, address, addressLen, state, stateLen, answers, answersLen uint32) uint32 {
	return guest.Call(subscribeFunc, func(a []reflect.Value) (any, error) {
		return registered.Subscribe(a[0].Bytes(), uint32(a[1].Uint()), a[2].String(), a[3].Bytes(),
			guest.Arg[[]wit.Response](a[4]))
	}, guest.Widen(context, contextLen, feed, address, addressLen, state, stateLen, answers, answersLen)...)
}
