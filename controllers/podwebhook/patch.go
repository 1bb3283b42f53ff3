package podwebhook

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/internal/inject"
)

// errAddsOnly ends what would take from, or change, what others wrote.
var errAddsOnly = errors.New("only additions are made")

// operation is one of a JSON Patch (RFC 6902).
type operation struct {
	Op    string `json:"op"` // add or replace
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patch returns the operations that turn before into after. Both are typed, so
// fields that this program does not know are in neither, and stay as they are
// in the object that the operations are applied to. Only what injection writes
// is looked at one by one. There is no remove: a difference that would need
// one, or that is anywhere else, is a mistake of ours and an error.
func patch(before, after *corev1.Pod) (ops []operation, err error) {
	rest := *after
	rest.Annotations, rest.Labels = before.Annotations, before.Labels
	rest.Spec.Containers, rest.Spec.InitContainers = before.Spec.Containers, before.Spec.InitContainers
	rest.Spec.Volumes = before.Spec.Volumes
	if !inject.Equal(before, &rest) {
		return nil, fmt.Errorf("changing the pod elsewhere than in annotations, labels, containers and volumes: %w", errAddsOnly)
	}
	b, a := &before.Spec, &after.Spec
	for _, part := range []func() ([]operation, error){
		func() ([]operation, error) {
			return texts("/metadata/annotations", before.Annotations, after.Annotations)
		},
		func() ([]operation, error) { return texts("/metadata/labels", before.Labels, after.Labels) },
		func() ([]operation, error) {
			return list("/spec/containers", b.Containers, a.Containers, sameName, container)
		},
		func() ([]operation, error) {
			return list("/spec/initContainers", b.InitContainers, a.InitContainers, sameName, container)
		},
		func() ([]operation, error) { return list("/spec/volumes", b.Volumes, a.Volumes, sameVolume, volume) },
	} {
		more, err := part()
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// texts compares labels or annotations. Where there were none, the whole is
// added.
func texts(path string, before, after map[string]string) (ops []operation, err error) {
	for key := range before {
		if _, ok := after[key]; !ok {
			return nil, fmt.Errorf("removing %s/%s: %w", path, key, errAddsOnly)
		}
	}
	if len(before) == 0 && len(after) > 0 {
		return []operation{{"add", path, after}}, nil
	}
	for key, value := range after {
		switch was, ok := before[key]; {
		case !ok:
			ops = append(ops, operation{"add", path + "/" + pointer.Replace(key), value})
		case was != value:
			ops = append(ops, operation{"replace", path + "/" + pointer.Replace(key), value})
		}
	}
	slices.SortFunc(ops, func(x, y operation) int { return strings.Compare(x.Path, y.Path) })
	return ops, nil
}

// pointer escapes a key for a path (RFC 6901).
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// list matches elements by same. What is before stays in its order; what is new
// is inserted between. Where there was none, the whole is added.
func list[T any](path string, before, after []T, same func(b, a *T) bool, both func(path string, b, a *T) ([]operation, error)) (ops []operation, err error) {
	if len(before) == 0 && len(after) > 0 {
		return []operation{{"add", path, after}}, nil
	}
	matched := 0
	for i := range after {
		at := path + "/" + strconv.Itoa(i)
		if matched == len(before) || !same(&before[matched], &after[i]) {
			ops = append(ops, operation{"add", at, &after[i]})
			continue
		}
		inner, err := both(at, &before[matched], &after[i])
		if err != nil {
			return nil, err
		}
		ops = append(ops, inner...)
		matched++
	}
	if matched < len(before) {
		return nil, fmt.Errorf("removing from %s: %w", path, errAddsOnly)
	}
	return ops, nil
}

func sameName(b, a *corev1.Container) bool { return b.Name == a.Name }

func sameVolume(b, a *corev1.Volume) bool { return b.Name == a.Name }

func sameVariable(b, a *corev1.EnvVar) bool { return b.Name == a.Name }

func sameMount(b, a *corev1.VolumeMount) bool { return b.Name == a.Name && b.MountPath == a.MountPath }

// container replaces ours whole, since nothing that somebody else put into it
// may stay. Others get variables and mounts.
func container(path string, before, after *corev1.Container) ([]operation, error) {
	if after.Name == inject.ContainerName {
		return whole(path, before, after)
	}
	rest := *after
	rest.Env, rest.VolumeMounts = before.Env, before.VolumeMounts
	if !inject.Equal(before, &rest) {
		return nil, fmt.Errorf("changing %s elsewhere than in variables and mounts: %w", path, errAddsOnly)
	}
	env, err := list(path+"/env", before.Env, after.Env, sameVariable, variable)
	if err != nil {
		return nil, err
	}
	mounts, err := list(path+"/volumeMounts", before.VolumeMounts, after.VolumeMounts, sameMount, kept)
	return append(env, mounts...), err
}

// variable brings a value up to date.
func variable(path string, before, after *corev1.EnvVar) ([]operation, error) {
	rest := *after
	rest.Value = before.Value
	switch {
	case before.Value == after.Value:
		return kept(path, before, after)
	case after.Value == "" || !inject.Equal(before, &rest):
		return nil, fmt.Errorf("changing %s elsewhere than in its value: %w", path, errAddsOnly)
	case before.Value == "":
		return []operation{{"add", path + "/value", after.Value}}, nil
	}
	return []operation{{"replace", path + "/value", after.Value}}, nil
}

// volume replaces those of ours whole, as container does.
func volume(path string, before, after *corev1.Volume) ([]operation, error) {
	if strings.HasPrefix(after.Name, "sallyport-") {
		return whole(path, before, after)
	}
	return kept(path, before, after)
}

func whole[T any](path string, before, after *T) ([]operation, error) {
	if inject.Equal(before, after) {
		return nil, nil
	}
	return []operation{{"replace", path, after}}, nil
}

// kept is for what is the author's alone.
func kept[T any](path string, before, after *T) ([]operation, error) {
	if !inject.Equal(before, after) {
		return nil, fmt.Errorf("changing %s: %w", path, errAddsOnly)
	}
	return nil, nil
}
