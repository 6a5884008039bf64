"""Figures of the course, redrawn from live runs of the library: one file per figure, each an example of its use.

To add one: a file here with a function ``draw(backend) -> Figure`` and a `Picture` that names it, and a line in
`PICTURES`.  ``xpsolve figures`` draws them, ``xpsolve report`` shows what was drawn.
"""

from xpsolve.report.gallery import (
    barycenters,
    bgd_logistic,
    chain_cost,
    choice_of_lambda,
    colour_transfer,
    computational_graph,
    convolution_map,
    deblurring,
    digits_multinomial,
    digits_networks,
    gradient_cost,
    l_curve,
    lasso_convergence,
    lasso_path,
    lista_form,
    lista_loss,
    lista_steps,
    lq_balls,
    mlp_depth,
    recurrence_memory,
    sgd_against_bgd,
    sgd_cloud,
    sgd_sga_sag,
    sinkhorn_convergence,
    sinkhorn_plans,
    sinkhorn_seconds,
    soft_threshold,
    softmax_jacobian,
    total_variation,
)
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._record import Drawn, draw, read
from xpsolve.report.gallery._together import draw_all, left_out

__all__ = ["PICTURES", "Drawn", "Picture", "draw", "draw_all", "left_out", "read"]

PICTURES = {
    picture.name: picture
    for picture in (
        lq_balls.PICTURE,
        soft_threshold.PICTURE,
        lasso_path.PICTURE,
        lasso_convergence.PICTURE,
        choice_of_lambda.PICTURE,
        l_curve.PICTURE,
        deblurring.PICTURE,
        total_variation.PICTURE,
        chain_cost.PICTURE,
        computational_graph.PICTURE,
        gradient_cost.PICTURE,
        recurrence_memory.PICTURE,
        bgd_logistic.PICTURE,
        sgd_cloud.PICTURE,
        sgd_against_bgd.PICTURE,
        sgd_sga_sag.PICTURE,
        digits_multinomial.PICTURE,
        sinkhorn_plans.PICTURE,
        sinkhorn_convergence.PICTURE,
        sinkhorn_seconds.PICTURE,
        barycenters.PICTURE,
        colour_transfer.PICTURE,
        convolution_map.PICTURE,
        softmax_jacobian.PICTURE,
        mlp_depth.PICTURE,
        digits_networks.PICTURE,
        lista_loss.PICTURE,
        lista_steps.PICTURE,
        lista_form.PICTURE,
    )
}
"""Every figure there is by its name, in the order of pages."""
