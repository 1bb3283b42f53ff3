package inject

import (
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
)

// alike holds what two pointers lead to to the API's own notion of equality, but that
// a quantity is told by its canonical text: comparing 1E100000000 with anything by
// value takes minutes, and any author of a pod may write it.
var alike = func() interface{ DeepEqual(a, b any) bool } {
	e := equality.Semantic.Copy()
	if err := e.AddFunc(func(a, b resource.Quantity) bool { return a.String() == b.String() }); err != nil {
		panic(err) // the function is not of the form that is asked for
	}
	return e
}()

// Equal reports whether two parts of pods, or what two pointers to such lead to, are
// equal to the API. An absent list is as an empty one. Quantities of one value in two
// formats, as 1k and 1e3, differ. It takes no longer than the parts are, whatever they
// hold.
func Equal(a, b any) bool {
	// Nearly all there is to compare is alike to the last byte, which is found out
	// at less cost.
	return reflect.DeepEqual(a, b) || alike.DeepEqual(a, b)
}
