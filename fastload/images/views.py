"""Several views of one sample: each by a transform of its own, of one image that is read and decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastload.images.native_transforms import native, transformed_by_each
from fastload.images.pillow_class import is_noticed, plan_of
from fastload.images.plan import reader


class Views:
    """``[transform(image) for transform in transforms]``: the crops of a multi-crop training.

    Of a lazy image (:func:`fastload.open`) the codes are decoded once, and each view's native part (see :func:`fastload.native`)
    takes its own window from there. Random numbers are drawn in the order of the transforms.

    Args:
        transforms: one a view; the same one may come several times.

    Returns:
        A list, when called with an image: what each transform gives.

    Example:
        >>> import io, PIL.Image, torchvision.transforms as T, fastload
        >>> file = io.BytesIO()
        >>> PIL.Image.new("RGB", (64, 48), "navy").save(file, "JPEG")
        >>> large, small = (T.Compose([T.RandomResizedCrop(size), T.ToTensor()]) for size in (32, 16))
        >>> [view.shape[-1] for view in fastload.Views([large, large, small])(fastload.open(file.getvalue()).convert("RGB"))]
        [32, 32, 16]
    """

    def __init__(self, transforms: Iterable[Callable[..., Any]]) -> None:
        self.transforms = [native(transform) for transform in transforms]

    def __call__(self, image: Any) -> list[Any]:
        if len(self.transforms) > 1 and is_noticed(image):
            views = transformed_by_each([transform.transform for transform in self.transforms], image)
            if views is not None:
                return views
            plan = plan_of(image)
            if plan is not None:
                plan.source.jpeg.keep_pixels(reader())
        return [transform(image) for transform in self.transforms]

    def __repr__(self) -> str:
        return f"fastload.Views([{', '.join(repr(transform.transform) for transform in self.transforms)}])"
