package rest

import (
	"context"
	"net/http"
	"reflect"
)

// quotesTag is the tag of fields whose texts may quote values of records. Responses to users who may not see values
// have a reason in place of these texts.
const quotesTag = "quotes"

// withheldMessage returns the text in place of texts that may quote values of records, for users who may not see the
// values of samples. "" means that the user may see them.
func (req *request) withheldMessage() string {
	why := req.shapeOnlyReason()
	if why == "" {
		return ""
	}
	return "not shown, because it may quote values of records, which users see after a logon or on a loopback " +
		"listener: " + why
}

// withheldInBody is withheldMessage for the texts of a response. Users of Kafka Connect expect traces from its routes;
// only web pages of other origins and the console must not see these.
func (req *request) withheldInBody() string {
	isConnectRoute := req.route == nil || !req.route.isCulvertRoute()
	if isConnectRoute && ReadOnlyReason(req.r.Context()) == "" && req.r.Context().Value(forPageKey{}) == nil &&
		req.r.Header.Get(shapeOnlyHeader) != withheldInAll {
		return ""
	}
	return req.withheldMessage()
}

type forPageKey struct{}

// forPages marks the requests that the console sends for its pages.
func forPages(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), forPageKey{}, true)))
	})
}

// withhold returns a copy of a body with a message in place of the texts that may quote values of records, or the
// body itself if the message is "".
func withhold[T any](body T, message string) T {
	if message != "" {
		reflect.ValueOf(&body).Elem().Set(withholdValue(reflect.ValueOf(&body).Elem(), message))
	}
	return body
}

func withholdValue(v reflect.Value, message string) reflect.Value {
	changed := reflect.New(v.Type()).Elem()
	changed.Set(v)
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			changed.Set(withholdValue(v.Elem(), message))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			changed.Set(reflect.New(v.Type().Elem()))
			changed.Elem().Set(withholdValue(v.Elem(), message))
		}
	case reflect.Slice:
		if !v.IsNil() && v.Type().Elem().Kind() != reflect.Uint8 {
			changed.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				changed.Index(i).Set(withholdValue(v.Index(i), message))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			changed.Set(reflect.MakeMap(v.Type()))
			for key, element := range v.Seq2() {
				changed.SetMapIndex(key, withholdValue(element, message))
			}
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			changedField := changed.FieldByIndex(field.Index)
			switch _, quotes := field.Tag.Lookup(quotesTag); {
			case !field.IsExported():
				// it is not encoded
			case !quotes:
				changedField.Set(withholdValue(value, message))
			case value.String() != "":
				changedField.SetString(message)
			}
		}
	}
	return changed
}
