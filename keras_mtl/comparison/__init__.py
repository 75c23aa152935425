"""Which method is best for a model of one's own, and by how much.

`pip install 'keras_mtl[comparison]'` brings what tunes, computes and draws.
"""

from keras_mtl.comparison.comparison import Comparison
from keras_mtl.comparison.trial import Trial
